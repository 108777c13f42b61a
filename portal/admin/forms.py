"""The forms of the admin's pages."""

import secrets
from datetime import datetime, timedelta
from typing import Any

from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField, IntegerField, SearchField, SelectField, StringField
from wtforms.fields import SelectChoice
from wtforms.validators import InputRequired, Length, NumberRange

from portal import money
from portal.billing.testing import Choice
from portal.credits.packages import Offer
from portal.forms import Date
from portal.models import Plan, Price
from portal.payments.issue import Refundable

CARDS = {
    "success": "Succeeds",
    "decline": "Is declined",
    "requires_auth": "Needs authentication",
    "fails_later": "Fails at renewal; for credits, when charged",
    "dispute": "Succeeds, and is disputed",
}
TRIALS = {0: "None", 7: "7 days", 14: "14 days", 30: "30 days"}
LONGEST = 256  # one more than what is searched for, so that more is refused by name
MOST = 10**9
LONGEST_GRACE = timedelta(days=366)
MODES = [SelectChoice("live", "Live"), SelectChoice("test", "Test")]


class SearchForm(FlaskForm):
    """Whom to look for. It only reads, so it is sent by GET and needs no token."""

    class Meta:
        csrf = False

    q = SearchField("Search", [Length(max=LONGEST - 1)])


class PurchaseForm(FlaskForm):
    """What is bought in test mode, and how the card behaves."""

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
                and not price.is_archived("test")
            ],
            "Credits": [
                SelectChoice(f"credits:{one.key}", f"{one.credits:,} credits, {_cost(one)}") for one in packages
            ],
            "Usage": [SelectChoice("usage:usage", "Pay as you go")],
        }
        if not self.nonce.data:
            self.nonce.data = secrets.token_urlsafe(16)

    def choice(self) -> Choice:
        """The same as the verb takes it."""
        kind, _, item = (self.item.data or "").partition(":")
        return Choice(kind, item, self.card.data, self.trial.data, self.on_clock.data, self.nonce.data or None)


class GrantForm(FlaskForm):
    """Credits that are given, and until when they are good."""

    mode = SelectField(
        "Mode", choices=[SelectChoice("live", "Live"), SelectChoice("test", "Test")], default="live"
    )
    credits = IntegerField("Credits", [InputRequired("How many?"), NumberRange(1, MOST, "From 1 to a billion.")])
    expires = Date("Good until", [InputRequired("Until when?")])
    note = StringField("Note", [Length(max=255)])
    nonce = HiddenField(validators=[Length(max=64)])

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not self.nonce.data:
            self.nonce.data = secrets.token_urlsafe(16)


class GraceForm(FlaskForm):
    """Until when an unpaid plan stays."""

    grace_mode = SelectField(
        "Mode", choices=[SelectChoice("live", "Live"), SelectChoice("test", "Test")], default="live"
    )
    until = Date("Stays until", [InputRequired("Until when?")])

    def fits(self, now: datetime) -> bool:
        """Whether the day lies ahead of the customer's time, and by no more than a year: a slip is no gift."""
        today = now.date()
        if self.until.data < today:
            self.until.errors = ["That day has passed."]
        elif self.until.data > today + LONGEST_GRACE:
            self.until.errors = ["That day is more than a year away."]
        return not self.until.errors


class VoidForm(FlaskForm):
    """Usage that is taken back, and why."""

    void_mode = SelectField("Mode", choices=MODES, default="live")
    identifier = StringField("Identifier", [InputRequired("Which one?"), Length(max=100)])
    reason = StringField("Reason", [InputRequired("Why?"), Length(max=255)])


class RefundForm(FlaskForm):
    """How much of a payment goes back."""

    amount = StringField("Amount", [InputRequired("How much?")])
    end = BooleanField("End the subscription now")

    def minor_units(self, payment: Refundable) -> int | None:
        """The amount in minor units; None, and said beside the field, for what can be no part of what was paid."""
        try:
            asked = money.parse(self.amount.data or "", payment.currency)
        except ValueError:
            self.amount.errors = ["Enter an amount such as 12.50."]
            return None
        if (
            0 < asked <= payment.amount
        ):  # of what is left the verb decides: the same form sent again is no second one
            return asked
        left = money.text(payment.amount - payment.refunded, payment.currency)
        self.amount.errors = [f"More than nothing, and at most the {left} that are left."]
        return None


def _cost(sold: Price | Offer) -> str:
    return money.text(sold.amount, sold.currency, short=True)
