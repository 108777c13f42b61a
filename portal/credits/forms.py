"""The forms of the credits page."""

from dataclasses import dataclass
from typing import Any

from flask_wtf import FlaskForm
from wtforms import BooleanField, IntegerField, SelectField, StringField
from wtforms.validators import InputRequired, NumberRange, Optional, ValidationError

from portal import money
from portal.catalogue import packages
from portal.catalogue.packages import Offer
from portal.credits.top_ups import rules
from portal.errors import InvalidInput
from portal.models import Customer, TopUpRule, User

MOST_CREDITS = 1_000_000_000
NUMERIC = {"inputmode": "numeric", "autocomplete": "off"}
DECIMAL = {"inputmode": "decimal", "autocomplete": "off"}


class CustomForm(FlaskForm):
    """Credits for a custom amount. `minor` is the entered amount in minor units."""

    amount = StringField("Amount in dollars", [InputRequired("Give an amount.")], render_kw=DECIMAL)

    def validate_amount(self, field: StringField) -> None:
        """Check that the field holds an amount of money. The package's limits are checked when it is looked up."""
        self.minor = parsed(field.data or "")


class TopUpForm(FlaskForm):
    """The terms of the automatic top-up, and the consent to them.

    `cap` and `minor` (a custom amount) are in minor units; `minor` is None for a package.
    """

    threshold = IntegerField(
        "When fewer credits are left than",
        [InputRequired("Give a number of credits."), NumberRange(1, MOST_CREDITS, "Give at least 1 credit.")],
        render_kw=NUMERIC,
    )
    package = SelectField("Buy")
    custom_amount = StringField("Other amount in dollars", render_kw=DECIMAL)
    monthly_cap = StringField(
        "At most each month, in dollars", [InputRequired("Give an amount.")], render_kw=DECIMAL
    )
    consent = BooleanField(
        "I agree that my saved card is charged by these terms while I am away, until I turn this off.",
        [InputRequired("Without your agreement nothing is charged.")],
    )

    def __init__(self, offers: list[Offer], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.offers = offers
        self.minor: int | None = None
        self.package.choices = [
            (offer.key, f"{offer.name}: {offer.credits:,} credits for {money.text(offer.amount, offer.currency)}")
            for offer in offers
        ] + [(packages.CUSTOM, "Another amount")]

    def validate_custom_amount(self, field: StringField) -> None:
        """Check that the amount can also be bought manually. Skipped if a package is chosen."""
        if self.package.data != packages.CUSTOM:
            return
        minor = parsed(field.data) if field.data else None
        try:
            packages.units(minor)
        except InvalidInput as refused:
            raise ValidationError(refused.detail) from None
        self.minor = minor

    def validate_monthly_cap(self, field: StringField) -> None:
        """Check that the cap allows at least one purchase."""
        self.cap = parsed(field.data or "")
        chosen = next((offer.amount for offer in self.offers if offer.key == self.package.data), self.minor)
        if chosen and self.cap < chosen:
            price = money.text(chosen, packages.limits().currency)
            raise ValidationError(f"One purchase costs {price}, so this would never buy it.")


class LowBalanceForm(FlaskForm):
    """When to mail that credits run low. If empty, never."""

    low_balance_at = IntegerField(
        "Mail me when fewer credits are left than",
        [Optional(), NumberRange(1, MOST_CREDITS, "Give at least 1 credit, or leave it empty.")],
        render_kw=NUMERIC,
    )


@dataclass(frozen=True)
class Forms:
    """The forms of the credits page and the rows they are about, read once."""

    customer: Customer | None
    rule: TopUpRule | None
    offers: list[Offer]
    custom: CustomForm
    top_up: TopUpForm
    low_balance: LowBalanceForm


def for_user(user: User) -> Forms:
    """Return every form of the page, filled with the saved or the submitted values. Runs two queries."""
    customer, rule = rules.of_user(user.id)
    offers = packages.offers()
    return Forms(
        customer,
        rule,
        offers,
        CustomForm(),
        TopUpForm(offers, data=_terms(rule, offers)),
        LowBalanceForm(data={"low_balance_at": rule and rule.low_balance_at}),
    )


def _terms(rule: TopUpRule | None, offers: list[Offer]) -> dict[str, object]:
    if rule is None or not (rule.package_id or rule.amount):
        return {}
    currency = packages.limits().currency
    chosen = next((offer.key for offer in offers if offer.id == rule.package_id), None)
    return {
        "threshold": rule.threshold,
        "monthly_cap": money.text(rule.monthly_cap, currency, short=True),
        "package": packages.CUSTOM if rule.amount else chosen,
        "custom_amount": rule.amount and money.text(rule.amount, currency, short=True),
    }


def parsed(words: str) -> int:
    """Return minor units of the catalogue's currency. Raises ValidationError with the field's message."""
    currency = packages.limits().currency
    try:
        return money.parse(words, currency)
    except (ValueError, ArithmeticError):  # decimal cannot calculate with hundreds of digits
        example = money.text(2500, currency)
        raise ValidationError(f"This is not an amount such as {example}.") from None
