"""The forms of the keys page."""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask_wtf import FlaskForm
from wtforms import RadioField, SelectMultipleField, StringField
from wtforms.fields import SelectChoice
from wtforms.validators import DataRequired, Length, Optional, ValidationError
from wtforms.widgets import CheckboxInput, ListWidget

from portal import clock
from portal.models.key import SCOPES
from portal.settings import current_settings
from portal.web.forms import Date
from portal.web.pages import zone

SCOPE_WORDS = {
    "read": "Read: plan, entitlements, balance, history",
    "spend": "Spend: take credits, begin purchases, change the plan",
    "usage": "Usage: report what was used",
}
NO_REPORTS = "Usage: read what was used (the service itself reports it here)"
LIFETIMES = {"never": "Never", "30": "In 30 days", "90": "In 90 days", "date": "On a date"}
OVERLAPS = {"0": "At once", "1": "In an hour", "24": "In a day", "168": "In 7 days"}  # hours
LONGEST = timedelta(days=3660)


def _choices(words: dict[str, str]) -> list[SelectChoice]:
    return [SelectChoice(value, label) for value, label in words.items()]


class KeyForm(FlaskForm):
    """A new key's name, scopes and expiry."""

    name = StringField("Name", validators=[DataRequired("Give the key a name."), Length(max=100)])
    scopes = SelectMultipleField(
        "It may",
        choices=_choices(SCOPE_WORDS),
        default=list(SCOPES),
        option_widget=CheckboxInput(),
        widget=ListWidget(),
    )
    lifetime = RadioField("It ends", choices=_choices(LIFETIMES), default="never")
    last_day = Date("Last day", [Optional()])

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not current_settings().usage_self_report:
            self.scopes.choices = _choices(SCOPE_WORDS | {"usage": NO_REPORTS})

    def validate_scopes(self, field: SelectMultipleField) -> None:
        """Check that at least one is chosen. WTForms has no fitting validator: browsers would require every
        checkbox.
        """
        if not field.data:
            raise ValidationError("Choose what the key may do.")

    def validate_lifetime(self, field: RadioField) -> None:
        """Check that “On a date” has a date."""
        if field.data == "date" and not self.last_day.raw_data[0]:
            raise ValidationError("Enter the last day too.")

    def validate_last_day(self, field: Date) -> None:
        """Check that the day is in the future."""
        today = clock.now().astimezone(ZoneInfo(zone())).date()
        if field.data and not today <= field.data <= today + LONGEST:
            raise ValidationError("Enter a day to come, within ten years.")

    def expires_at(self) -> datetime | None:
        """Return when the key expires; None: never. A day ends at the reader's own midnight."""
        chosen: str = self.lifetime.data
        if chosen == "never":
            return None
        return _end_of(self.last_day) if chosen == "date" else clock.now() + timedelta(days=int(chosen))


class RotateForm(FlaskForm):
    """How long the old key continues to work."""

    overlap = RadioField("The old key ends", choices=_choices(OVERLAPS), default="24")

    def hours(self) -> timedelta:
        """Return it as a timedelta."""
        return timedelta(hours=int(self.overlap.data))


def _end_of(field: Any) -> datetime:
    following = field.data + timedelta(days=1)
    return datetime.combine(following, time(), ZoneInfo(zone())).astimezone(UTC)
