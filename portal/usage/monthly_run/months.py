"""Months for billing: calendar months in UTC, whatever the reader's time zone is."""

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Self

WRITTEN = re.compile(r"([1-9][0-9]{3})-(0[1-9]|1[0-2])")


class Month(NamedTuple):
    """A calendar month. Earlier months compare as less."""

    year: int
    month: int

    @classmethod
    def of(cls, moment: datetime) -> Self:
        """Return the month of a time."""
        utc = moment.astimezone(UTC)
        return cls(utc.year, utc.month)

    @classmethod
    def read(cls, text: str) -> Self:
        """Parse "2026-11". Raises ValueError."""
        found = WRITTEN.fullmatch(text)
        if found is None:
            raise ValueError(f'"{text}" is not a month such as 2026-11')
        return cls(int(found[1]), int(found[2]))

    @classmethod
    def of_number(cls, number: int) -> Self:
        """Return the month of the number 202611."""
        return cls(*divmod(number, 100))

    @property
    def number(self) -> int:
        """Return 202611, the stored form."""
        return self.year * 100 + self.month

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"

    @property
    def words(self) -> str:
        """Return "November 2026"."""
        return f"{self.start:%B %Y}"

    @property
    def start(self) -> datetime:
        """Return its first moment."""
        return datetime(self.year, self.month, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """Return the first moment after it."""
        return self.next.start

    @property
    def days(self) -> int:
        """Return the number of days, 28 to 31."""
        return (self.end - self.start) // timedelta(days=1)

    @property
    def next(self) -> "Month":
        """Return the next month."""
        return Month(self.year + self.month // 12, self.month % 12 + 1)

    @property
    def previous(self) -> "Month":
        """Return the previous month."""
        return Month(self.year - (self.month == 1), (self.month - 2) % 12 + 1)
