"""Shared forms that filter a list: days, and the period between two of them."""

from datetime import MAXYEAR, MINYEAR, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import request
from flask_wtf import FlaskForm
from wtforms import DateField
from wtforms.validators import Optional, ValidationError

from portal.web.pages import zone

NOT_A_DATE = "Enter a date such as 2026-12-31."


class Date(DateField):
    """A day, with a message that shows the format; the first and last possible years are refused."""

    def process_formdata(self, valuelist: list[Any]) -> None:
        try:
            super().process_formdata(valuelist)
        except ValueError:
            raise ValueError(NOT_A_DATE) from None
        # Its midnight may be out of range in another zone.
        if self.data and not MINYEAR < self.data.year < MAXYEAR:
            raise ValueError(NOT_A_DATE)


class PeriodForm(FlaskForm):
    """The filter of a list, at least by period. It only reads, so it is sent by GET and needs no token."""

    class Meta:
        csrf = False

    since = Date("From", [Optional()])
    until = Date("To", [Optional()])

    def validate_until(self, field: DateField) -> None:
        """Check that the period ends after it begins."""
        if field.data and self.since.data and field.data < self.since.data:
            raise ValidationError("This is before the date that it begins with.")

    def period(self) -> tuple[datetime | None, datetime | None]:
        """Return the start and end of the period: the reader's own midnights before the first day and after the
        last.
        """
        local = ZoneInfo(zone())
        since, until = self.since.data, self.until.data and self.until.data + timedelta(days=1)
        return since and datetime.combine(since, time(), local), until and datetime.combine(until, time(), local)

    def chosen(self) -> dict[str, str]:
        """Return the filter as the query of a link."""
        return {name: value for name, value in request.args.items() if value and name in self._fields}
