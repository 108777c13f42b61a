"""The forms about plans."""

from datetime import UTC, datetime

from flask_wtf import FlaskForm
from wtforms import HiddenField, IntegerField, RadioField, TextAreaField
from wtforms.fields import SelectChoice
from wtforms.validators import InputRequired, Length, NumberRange, Optional
from wtforms.widgets import HiddenInput

from portal.billing import cancelling

CHOICES = [SelectChoice(*reason) for reason in cancelling.REASONS.items()]


class CancelForm(FlaskForm):
    """Why somebody leaves; neither question has to be answered."""

    reason = RadioField("Why are you leaving?", [Optional()], choices=CHOICES)
    comment = TextAreaField(
        "What would have kept you?",
        [Length(max=cancelling.LONGEST_COMMENT, message="At most %(max)d characters.")],
        render_kw={"rows": 3, "maxlength": cancelling.LONGEST_COMMENT},
    )


class ChangeForm(FlaskForm):
    """What was previewed: the plan, what it costs as a digest, and when that was reckoned."""

    price = HiddenField(validators=[InputRequired("Choose a plan first."), Length(max=255)])
    quote = HiddenField(validators=[InputRequired("Look at the costs first."), Length(max=64)])
    at = IntegerField(
        validators=[InputRequired("Look at the costs first."), NumberRange(0, 2**33)], widget=HiddenInput()
    )

    @property
    def moment(self) -> datetime:
        """When it was reckoned."""
        return datetime.fromtimestamp(self.at.data or 0, UTC)
