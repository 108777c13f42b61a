"""What forms that narrow a list share: days, and the period between two of them."""

from datetime import MAXYEAR, MINYEAR, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import request
from flask_wtf import FlaskForm
from wtforms import DateField
from wtforms.validators import Optional, ValidationError

from portal.pages import zone

NOT_A_DATE = "Enter a date such as 2026-12-31."


class Date(DateField):
    """A day, refused in words that say how one is written; the first and last years of all are none."""

    def process_formdata(self, valuelist: list[Any]) -> None:
        try:
            super().process_formdata(valuelist)
        except ValueError:
            raise ValueError(NOT_A_DATE) from None
        if self.data and not MINYEAR < self.data.year < MAXYEAR:  # its midnight may be no moment elsewhere
            raise ValueError(NOT_A_DATE)


class PeriodForm(FlaskForm):
    """What of a list is asked for, of a period at least. It only reads: it is sent by GET and needs no token."""

    class Meta:
        csrf = False

    since = Date("From", [Optional()])
    until = Date("To", [Optional()])

    def validate_until(self, field: DateField) -> None:
        """A period ends after it begins."""
        if field.data and self.since.data and field.data < self.since.data:
            raise ValidationError("This is before the date that it begins with.")

    def period(self) -> tuple[datetime | None, datetime | None]:
        """From when to before when: the reader's own midnights before the first day and after the last."""
        local = ZoneInfo(zone())
        since, until = self.since.data, self.until.data and self.until.data + timedelta(days=1)
        return since and datetime.combine(since, time(), local), until and datetime.combine(until, time(), local)

    def chosen(self) -> dict[str, str]:
        """The filter as the query of a link."""
        return {name: value for name, value in request.args.items() if value and name in self._fields}
