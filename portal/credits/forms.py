"""The forms of the credits page."""

from flask_wtf import FlaskForm
from wtforms import StringField
from wtforms.validators import InputRequired, ValidationError

from portal import money
from portal.credits import packages


class CustomForm(FlaskForm):
    """Credits for an amount of one's own choice. `amount.minor` is what was typed, in minor units."""

    amount = StringField(
        "Amount in dollars",
        [InputRequired("Give an amount.")],
        render_kw={"inputmode": "decimal", "autocomplete": "off"},
    )

    def validate_amount(self, field: StringField) -> None:
        """An amount that is written as money; the package's own bounds are checked where it is looked up."""
        self.minor = parsed(field.data or "")


def parsed(words: str) -> int:
    """Minor units of the catalogue's currency. Raises ValidationError in words for the field."""
    currency = packages.limits().currency
    try:
        return money.parse(words, currency)
    except (ValueError, ArithmeticError):  # hundreds of digits are no number that decimal counts with
        example = money.text(2500, currency)
        raise ValidationError(f"This is not an amount such as {example}.") from None
