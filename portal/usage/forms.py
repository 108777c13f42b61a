"""The forms of the usage page."""

from typing import Any

from flask_wtf import FlaskForm
from wtforms import BooleanField, DateField, StringField
from wtforms.validators import InputRequired, ValidationError

from portal import money
from portal.catalogue import meters
from portal.models import UsageSettings

NOT_A_DATE = "Enter a date such as 2026-12-31."


class LimitForm(FlaskForm):
    """A monthly spend limit. `minor` is the entered amount in minor units, or None if empty."""

    amount = StringField(
        "At most each month, in dollars", render_kw={"inputmode": "decimal", "autocomplete": "off"}
    )
    hard_stop = BooleanField("Stop usage at the limit: my API keys get the answer 402.")

    def validate_amount(self, field: StringField) -> None:
        """Check for an amount of money, or an empty field for no limit."""
        self.minor: int | None = None
        words = (field.data or "").strip()
        if not words:
            return
        currency = meters.on_sale()[0].currency
        try:
            self.minor = money.parse(words, currency)
        except (ValueError, ArithmeticError):  # decimal cannot calculate with hundreds of digits
            raise ValidationError(f"This is not an amount such as {money.text(25000, currency)}.") from None


class CreditsForm(FlaskForm):
    """Whether prepaid credits pay for usage first."""

    credits_first = BooleanField("Let my credits pay usage first, and charge my card the rest.")


class RangeForm(FlaskForm):
    """The days of a CSV. It only reads, so it is sent by GET and needs no token."""

    class Meta:
        csrf = False

    since = DateField("From", [InputRequired(NOT_A_DATE)])
    until = DateField("To", [InputRequired(NOT_A_DATE)])

    def validate_until(self, field: DateField) -> None:
        """Check that the period ends after it begins."""
        if field.data and self.since.data and field.data < self.since.data:
            raise ValidationError("This is before the date that it begins with.")


def limit(chosen: UsageSettings | None, currency: str) -> LimitForm:
    """Return the form, filled with the saved or the submitted values."""
    known: dict[str, Any] = {}
    if chosen and chosen.limit_amount is not None:
        amount = money.text(chosen.limit_amount, currency, short=True)
        known = {"amount": amount, "hard_stop": chosen.hard_stop}
    return LimitForm(data=known)
