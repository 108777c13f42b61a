"""Twelve months of MRR and subscriptions, by currency, from the daily sums."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from sqlalchemy import Row, case, func, select

from portal.enums import Mode
from portal.extensions import db
from portal.figures import daily
from portal.models import DailyFigure, MovementKind, MrrMovement, Subscription

MONTHS = 12
BATCH = 500  # rows that are read together
BEGINS = (MovementKind.OPENING, MovementKind.NEW, MovementKind.REACTIVATION)
PLANS = "plans."


@dataclass(frozen=True)
class MonthFigures:
    """The figures of one month in one currency. Amounts are in its minor units, changes are signed."""

    month: date  # its first day
    currency: str
    mrr: int  # at its end, or now
    mrr_before: int  # at its beginning
    active: int  # paid subscriptions at its end, or now
    moved: Mapping[MovementKind, int]  # amounts
    counted: Mapping[MovementKind, int]  # movements
    plans: Mapping[tuple[str, str], int]  # changes of plan, from and to; "free" is none

    @property
    def arr(self) -> int:
        """Return the MRR of a year."""
        return 12 * self.mrr

    @property
    def arpu(self) -> int:
        """Return the MRR per paid subscription, rounded down."""
        return self.mrr // self.active if self.active else 0

    @property
    def lost(self) -> int:
        """Return the MRR lost by churn and contraction, not below 0."""
        return -self.moved[MovementKind.CHURN] - self.moved[MovementKind.CONTRACTION]

    @property
    def gross_churn(self) -> Decimal | None:
        """Return the lost MRR in percent of the MRR at the beginning; None if that was 0."""
        return _percent(self.lost, self.mrr_before)

    @property
    def net_churn(self) -> Decimal | None:
        """Return the same minus expansion and reactivation. It is below 0 if these are more than what was lost."""
        won = self.moved[MovementKind.EXPANSION] + self.moved[MovementKind.REACTIVATION]
        return _percent(self.lost - won, self.mrr_before)


def _percent(part: int, whole: int) -> Decimal | None:
    return (Decimal(100 * part) / whole).quantize(Decimal("0.1")) if whole > 0 else None


def months(mode: Mode, now: datetime) -> dict[str, list[MonthFigures]]:
    """Return the last twelve months, oldest first, by currency. Runs one query, over sums."""
    listed = _months(now)
    first = _number(listed[0])
    # Everything before the first month is one sum.
    since = case((DailyFigure.month < first, 0), else_=DailyFigure.month)
    query = select(since, DailyFigure.currency, DailyFigure.name, func.sum(DailyFigure.amount))
    query = query.where(DailyFigure.mode == mode, DailyFigure.month <= _number(listed[-1]))
    query = query.where(~DailyFigure.name.startswith(daily.WEBHOOKS))
    sums: dict[str, dict[tuple[int, str], int]] = defaultdict(dict)
    query = query.group_by(since, DailyFigure.currency, DailyFigure.name)
    for month, currency, name, amount in db.session.execute(query):
        sums[currency][month, name] = int(amount)
    return {currency: _of_currency(currency, found, listed) for currency, found in sorted(sums.items())}


def movements(mode: Mode, now: datetime) -> Iterator[Row[MrrMovement, str, str]]:
    """Yield the movements of the last twelve months with the ids of their subscriptions, oldest first."""
    query = (
        select(MrrMovement, Subscription.stripe_id, Subscription.stripe_customer)
        .join(Subscription, Subscription.id == MrrMovement.subscription_id)
        .where(MrrMovement.mode == mode, MrrMovement.counts_on >= _months(now)[0])
        .order_by(MrrMovement.counts_on, MrrMovement.id)
        .execution_options(yield_per=BATCH)
    )
    yield from db.session.execute(query)


def mrr_now() -> dict[Mode, dict[str, int]]:
    """Return the booked MRR of each mode by currency, in minor units. Runs one query, over sums."""
    names = [f"mrr.{kind}" for kind in MovementKind]
    query = select(DailyFigure.mode, DailyFigure.currency, func.sum(DailyFigure.amount))
    query = query.where(DailyFigure.name.in_(names)).group_by(DailyFigure.mode, DailyFigure.currency)
    found: dict[Mode, dict[str, int]] = {mode: {} for mode in Mode}
    for mode, currency, amount in db.session.execute(query.order_by(DailyFigure.currency)):
        found[mode][currency] = int(amount)
    return found


def _of_currency(currency: str, sums: Mapping[tuple[int, str], int], listed: list[date]) -> list[MonthFigures]:
    found, mrr, active = [], 0, 0
    for month in (None, *listed):
        number = _number(month) if month else 0
        moved = {kind: sums.get((number, f"mrr.{kind}"), 0) for kind in MovementKind}
        counted = {kind: sums.get((number, f"subscriptions.{kind}"), 0) for kind in MovementKind}
        before = mrr
        mrr += sum(moved.values())
        active += sum(counted[kind] for kind in BEGINS) - counted[MovementKind.CHURN]
        if month:
            found.append(MonthFigures(month, currency, mrr, before, active, moved, counted, _plans(sums, number)))
    return found


def _plans(sums: Mapping[tuple[int, str], int], month: int) -> dict[tuple[str, str], int]:
    """Return how many changed from one plan to another in a month."""
    found = {}
    for (at, name), count in sums.items():
        if at == month and name.startswith(PLANS):
            before, _, after = name.removeprefix(PLANS).partition(">")
            found[before, after] = count
    return found


def _months(now: datetime) -> list[date]:
    """Return the first days of the last twelve months (UTC), the current one last."""
    today = now.astimezone(UTC)
    last = today.year * 12 + today.month - 1
    return [date(one // 12, one % 12 + 1, 1) for one in range(last - MONTHS + 1, last + 1)]


def _number(month: date) -> int:
    return month.year * 100 + month.month
