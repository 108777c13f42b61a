"""The page of business figures, and its CSV."""

import csv
import io
from collections.abc import Callable, Iterator
from typing import Any

from flask import Blueprint, Response, render_template, request, stream_with_context
from flask.typing import ResponseReturnValue

from portal import clock, money
from portal.enums import Mode
from portal.extensions import db, reading
from portal.figures import report
from portal.figures.report import MonthFigures
from portal.models import MovementKind
from portal.web.pages import rfc3339

blueprint = Blueprint("admin_figures", __name__)

MOVEMENT = [
    "Counts on",
    "Kind",
    "Currency",
    "Amount",
    "MRR after",
    "From plan",
    "To plan",
    "Subscription",
    "Stripe customer",
    "Happened at (UTC)",
    "Booked at (UTC)",
]
Value = Callable[[MonthFigures], Any]
# Each figure: its name, its kind (money, count or percent), and its value.
FIGURES: tuple[tuple[str, str, Value], ...] = (
    ("MRR", "money", lambda one: one.mrr),
    ("ARR", "money", lambda one: one.arr),
    ("Paid subscriptions", "count", lambda one: one.active),
    ("MRR per subscription", "money", lambda one: one.arpu),
    ("New subscriptions", "count", lambda one: one.counted[MovementKind.NEW]),
    ("Churned subscriptions", "count", lambda one: one.counted[MovementKind.CHURN]),
    ("Reactivated subscriptions", "count", lambda one: one.counted[MovementKind.REACTIVATION]),
    ("New MRR", "money", lambda one: one.moved[MovementKind.NEW]),
    ("Expansion", "money", lambda one: one.moved[MovementKind.EXPANSION]),
    ("Contraction", "money", lambda one: one.moved[MovementKind.CONTRACTION]),
    ("Churned MRR", "money", lambda one: one.moved[MovementKind.CHURN]),
    ("Reactivated MRR", "money", lambda one: one.moved[MovementKind.REACTIVATION]),
    ("Opening MRR", "money", lambda one: one.moved[MovementKind.OPENING]),
    ("Gross revenue churn", "percent", lambda one: one.gross_churn),
    ("Net revenue churn", "percent", lambda one: one.net_churn),
)


@blueprint.get("/figures")
def index() -> ResponseReturnValue:
    """Show twelve months of each figure, by currency."""
    mode = _mode()
    found = report.months(mode, clock.now())
    charts = {currency: [_chart(*one, months) for one in _figures(months)] for currency, months in found.items()}
    return render_template("admin/figures.html", mode=mode, charts=charts)


@blueprint.get("/figures.csv")
def as_csv() -> ResponseReturnValue:
    """Send the same as CSV: a line for each currency and month. Amounts are in major units."""
    mode = _mode()
    found = report.months(mode, clock.now())
    headers = {"Content-Disposition": f'attachment; filename="figures-{mode}.csv"'}
    return Response("".join(_lines(found)), mimetype="text/csv", headers=headers)


@blueprint.get("/figures/movements.csv")
def movements() -> ResponseReturnValue:
    """Send the movements behind the figures as CSV, line by line. Amounts are in major units."""
    mode = _mode()
    headers = {"Content-Disposition": f'attachment; filename="movements-{mode}.csv"'}
    lines = stream_with_context(_movements(mode))
    return Response(lines, mimetype="text/csv", headers=headers)


def _movements(mode: Mode) -> Iterator[str]:
    reading()
    yield _line(MOVEMENT)
    for one, subscription_id, stripe_customer in report.movements(mode, clock.now()):
        amounts = (money.major(value, one.currency) for value in (one.amount, one.mrr_after))
        plans = (one.previous_tier or "", one.tier or "")
        times = (rfc3339(one.effective_at), rfc3339(one.booked_at))
        cells = (one.counts_on, one.kind, one.currency.upper(), *amounts, *plans, subscription_id, stripe_customer)
        yield _line([*cells, *times])
    db.session.rollback()


def _mode() -> Mode:
    return Mode.TEST if request.args.get("mode") == Mode.TEST else Mode.LIVE


def _figures(months: list[MonthFigures]) -> list[tuple[str, str, Value]]:
    """Return the figures, with a count of each change of plan that occurred."""
    changes = sorted({change for one in months for change in one.plans})
    return [*FIGURES, *((_words(change), "count", _count_of(change)) for change in changes)]


def _words(change: tuple[str, str]) -> str:
    return f"From {change[0]} to {change[1]}"


def _count_of(change: tuple[str, str]) -> Value:
    return lambda one: one.plans.get(change, 0)


def _chart(name: str, kind: str, value: Value, months: list[MonthFigures]) -> dict[str, Any]:
    """Return a chart: its bars are as high as the amount without its sign, and its words keep the sign."""
    rows = [
        {"label": f"{one.month:%b %Y}", "value": float(abs(value(one) or 0)), "text": _text(kind, value(one), one)}
        for one in months
    ]
    return {"name": name, "rows": rows, "now": rows[-1]["text"]}


def _text(kind: str, value: Any, one: MonthFigures) -> str:
    if value is None:
        return "–"
    if kind == "money":
        return money.text(value, one.currency, short=True)
    return f"{value} %" if kind == "percent" else f"{value:,}"


def _lines(found: dict[str, list[MonthFigures]]) -> Iterator[str]:
    changes = sorted({change for months in found.values() for one in months for change in one.plans})
    yield _line(["Month", "Currency", *(name for name, *_ in FIGURES), *(_words(change) for change in changes)])
    for currency, months in found.items():
        for one in months:
            cells = [_cell(kind, value(one), currency) for _, kind, value in FIGURES]
            counts = [one.plans.get(change, 0) for change in changes]
            yield _line([f"{one.month:%Y-%m}", currency.upper(), *cells, *counts])


def _cell(kind: str, value: Any, currency: str) -> Any:
    if value is None:
        return ""
    return money.major(value, currency) if kind == "money" else value


def _line(cells: list[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()
