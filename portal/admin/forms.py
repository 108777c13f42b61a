"""The forms of the admin pages."""

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField, IntegerField, SearchField, SelectField, StringField
from wtforms.fields import SelectChoice
from wtforms.validators import DataRequired, InputRequired, Length, NumberRange, Optional

from portal import money
from portal.admin.test_billing.orders import Choice
from portal.catalogue.packages import Offer
from portal.customers import access
from portal.enums import Mode
from portal.models import Plan, Price
from portal.payments.refunds import Refundable
from portal.web.forms import Date

CARDS = {
    "success": "Succeeds",
    "decline": "Is declined",
    "requires_auth": "Needs authentication",
    "fails_later": "Fails at renewal; for credits, when charged",
    "dispute": "Succeeds, and is disputed",
}
TRIALS = {0: "None", 7: "7 days", 14: "14 days", 30: "30 days"}
LONGEST = 256  # one more than the search limit, so that longer input is refused with a message
LONGEST_REASON = 255
MOST = 10**9
LONGEST_GRACE = timedelta(days=366)
MODES = [SelectChoice(mode, mode.label) for mode in Mode]


def _stripped(given: str | None) -> str:
    return (given or "").strip()


class SearchForm(FlaskForm):
    """The search for users. It only reads, so it is sent by GET and needs no token."""

    class Meta:
        csrf = False

    q = SearchField("Search", [Length(max=LONGEST - 1)])


class PurchaseForm(FlaskForm):
    """A test order, and how its card behaves."""

    item = SelectField("What")
    card = SelectField("Card", choices=[SelectChoice(*one) for one in CARDS.items()], default="success")
    trial = SelectField("Trial", choices=[SelectChoice(*one) for one in TRIALS.items()], coerce=int, default=0)
    on_clock = BooleanField("On a test clock, to travel in time")
    nonce = HiddenField(validators=[Length(max=64)])

    def __init__(self, plans: list[Plan], packages: list[Offer], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.item.choices = {
            "Plans": [
                SelectChoice(f"plan:{price.key}", f"{plan.name}, {_cost(price)} a {price.interval}")
                for plan in plans
                for price in plan.prices
                if price.amount
                and price.test_price_id
                and not price.withdrawn
                and not plan.withdrawn
                and not price.is_archived(Mode.TEST)
            ],
            "Credits": [
                SelectChoice(f"credits:{one.key}", f"{one.credits:,} credits, {_cost(one)}") for one in packages
            ],
            "Usage": [SelectChoice("usage:usage", "Pay as you go")],
        }
        if not self.nonce.data:
            self.nonce.data = secrets.token_urlsafe(16)

    def choice(self) -> Choice:
        """Return the choice as the function takes it."""
        kind, _, item = (self.item.data or "").partition(":")
        return Choice(kind, item, self.card.data, self.trial.data, self.on_clock.data, self.nonce.data or None)


class ReasonForm(FlaskForm):
    """The reason of an action. Actions on a customer's money or access use a form of this kind."""

    reason = StringField("Reason", [DataRequired("Why?"), Length(max=LONGEST_REASON)], filters=[_stripped])

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        name = type(self).__name__.removesuffix("Form").lower()
        self.reason.id = self.reason.label.field_id = f"{name}-reason"  # a page may have several of these forms


class GrantForm(ReasonForm):
    """Credits to grant, and their expiry."""

    mode = SelectField("Mode", choices=MODES, default="live")
    credits = IntegerField("Credits", [InputRequired("How many?"), NumberRange(1, MOST, "From 1 to a billion.")])
    expires = Date("Good until", [InputRequired("Until when?")])
    note = StringField("Note", [Length(max=255)])
    nonce = HiddenField(validators=[Length(max=64)])

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not self.nonce.data:
            self.nonce.data = secrets.token_urlsafe(16)


class PlanForm(ReasonForm):
    """A plan to give, and its last day."""

    plan_mode = SelectField("Mode", choices=MODES, default="live")
    tier = SelectField("Plan")
    last_day = Date("Until", [Optional()])

    def __init__(self, plans: Iterable[Plan], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        given = [plan for plan in plans if plan.tier != access.FREE and not plan.withdrawn]
        self.tier.choices = [SelectChoice(plan.tier, plan.name) for plan in given]


class GraceForm(ReasonForm):
    """Until when to keep an unpaid plan."""

    grace_mode = SelectField("Mode", choices=MODES, default="live")
    until = Date("Stays until", [InputRequired("Until when?")])

    def fits(self, now: datetime) -> bool:
        """Return whether the day is after the customer's current time by at most a year, to catch typing
        errors.
        """
        today = now.date()
        if self.until.data < today:
            self.until.errors = ["That day has passed."]
        elif self.until.data > today + LONGEST_GRACE:
            self.until.errors = ["That day is more than a year away."]
        return not self.until.errors


class VoidForm(ReasonForm):
    """Usage to void, and the reason."""

    void_mode = SelectField("Mode", choices=MODES, default="live")
    identifier = StringField("Identifier", [InputRequired("Which one?"), Length(max=100)])


class RefundForm(ReasonForm):
    """The amount to refund."""

    amount = StringField("Amount", [InputRequired("How much?")])
    end = BooleanField("End the subscription now")

    def minor_units(self, payment: Refundable) -> int | None:
        """Return the amount in minor units; None, with an error beside the field, if it cannot be part of the
        payment.
        """
        try:
            asked = money.parse(self.amount.data or "", payment.currency)
        except ValueError:
            self.amount.errors = ["Enter an amount such as 12.50."]
            return None
        if (
            0 < asked <= payment.amount
        ):  # the function checks what is left, because resubmitting the form is not a second refund
            return asked
        left = money.text(payment.amount - payment.refunded, payment.currency)
        self.amount.errors = [f"More than nothing, and at most the {left} that are left."]
        return None


def _cost(sold: Price | Offer) -> str:
    return money.text(sold.amount, sold.currency, short=True)
