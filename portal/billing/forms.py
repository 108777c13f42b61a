"""The forms for plans."""

from datetime import UTC, datetime

from flask_wtf import FlaskForm
from wtforms import EmailField, HiddenField, IntegerField, RadioField, TextAreaField
from wtforms.fields import SelectChoice
from wtforms.validators import InputRequired, Length, NumberRange, Optional, ValidationError
from wtforms.widgets import HiddenInput

from portal.billing import cancellation
from portal.customers import owners
from portal.models.subscription import CancellationReason

CHOICES = [SelectChoice(str(reason), reason.label) for reason in CancellationReason]


class CancelForm(FlaskForm):
    """Why the customer cancels. Both questions are optional."""

    reason = RadioField("Why are you leaving?", [Optional()], choices=CHOICES)
    comment = TextAreaField(
        "What would have kept you?",
        [Length(max=cancellation.LONGEST_COMMENT, message="At most %(max)d characters.")],
        render_kw={"rows": 3, "maxlength": cancellation.LONGEST_COMMENT},
    )


class AddressForm(FlaskForm):
    """The correction of a mistyped address from a payment."""

    email = EmailField(
        "Email",
        [InputRequired("Enter your email address."), Length(max=254, message="This email address is too long.")],
        render_kw={"autocomplete": "email"},
    )

    def validate_email(self, field: EmailField) -> None:
        """Check that the address can receive email."""
        if not owners.is_address(owners.normalized(field.data)):
            raise ValidationError("This does not look like an email address, such as name@example.com.")


class ChangeForm(FlaskForm):
    """The previewed change: the plan, a digest of its costs, and when they were computed."""

    price = HiddenField(validators=[InputRequired("Choose a plan first."), Length(max=255)])
    quote = HiddenField(validators=[InputRequired("Look at the costs first."), Length(max=64)])
    at = IntegerField(
        validators=[InputRequired("Look at the costs first."), NumberRange(0, 2**33)], widget=HiddenInput()
    )

    @property
    def moment(self) -> datetime:
        """Return when it was computed."""
        return datetime.fromtimestamp(self.at.data or 0, UTC)
