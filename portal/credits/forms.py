"""The forms of the credits page."""

from dataclasses import dataclass
from typing import Any

from flask_wtf import FlaskForm
from wtforms import BooleanField, IntegerField, SelectField, StringField
from wtforms.validators import InputRequired, NumberRange, Optional, ValidationError

from portal import money
from portal.credits import packages
from portal.credits import topup_rules as rules
from portal.credits.packages import Offer
from portal.errors import InvalidInput
from portal.models import Customer, TopUpRule, User

MOST_CREDITS = 1_000_000_000
NUMERIC = {"inputmode": "numeric", "autocomplete": "off"}
DECIMAL = {"inputmode": "decimal", "autocomplete": "off"}


class CustomForm(FlaskForm):
    """Credits for an amount of one's own choice; `minor` is what was typed, in minor units."""

    amount = StringField("Amount in dollars", [InputRequired("Give an amount.")], render_kw=DECIMAL)

    def validate_amount(self, field: StringField) -> None:
        """An amount that is written as money; the package's own bounds are checked where it is looked up."""
        self.minor = parsed(field.data or "")


class TopUpForm(FlaskForm):
    """The terms of the automatic top-up, and the consent to them.

    `cap` and `minor`, what another amount than a package's is, are in minor units; `minor` is None for a package.
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
        """An amount that could be bought by hand too; not looked at where a package is chosen."""
        if self.package.data != packages.CUSTOM:
            return
        minor = parsed(field.data) if field.data else None
        try:
            packages.units(minor)
        except InvalidInput as refused:
            raise ValidationError(refused.detail) from None
        self.minor = minor

    def validate_monthly_cap(self, field: StringField) -> None:
        """A cap that leaves room for one purchase at least."""
        self.cap = parsed(field.data or "")
        chosen = next((offer.amount for offer in self.offers if offer.key == self.package.data), self.minor)
        if chosen and self.cap < chosen:
            price = money.text(chosen, packages.limits().currency)
            raise ValidationError(f"One purchase costs {price}, so this would never buy it.")


class LowBalanceForm(FlaskForm):
    """When to mail that credits run low; left empty, never."""

    low_balance_at = IntegerField(
        "Mail me when fewer credits are left than",
        [Optional(), NumberRange(1, MOST_CREDITS, "Give at least 1 credit, or leave it empty.")],
        render_kw=NUMERIC,
    )


@dataclass(frozen=True)
class Forms:
    """The forms of the credits page, and what they are about, read once."""

    customer: Customer | None
    rule: TopUpRule | None
    offers: list[Offer]
    custom: CustomForm
    top_up: TopUpForm
    low_balance: LowBalanceForm


def of(user: User) -> Forms:
    """Every form of the page, filled with what was chosen before, or with what was just sent. Two queries."""
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
    """Minor units of the catalogue's currency. Raises ValidationError in words for the field."""
    currency = packages.limits().currency
    try:
        return money.parse(words, currency)
    except (ValueError, ArithmeticError):  # hundreds of digits are no number that decimal counts with
        example = money.text(2500, currency)
        raise ValidationError(f"This is not an amount such as {example}.") from None
