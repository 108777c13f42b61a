"""Reporting and reading usage in the JSON API."""

from dataclasses import asdict
from typing import Annotated

from flask import Blueprint, g
from pydantic import Field

from portal import clock, quantities
from portal.api.authentication import caller_required
from portal.api.bodies import JsonBody, QueryString, asks, takes
from portal.api.operators import operator_required
from portal.api.responses import Answer, answers
from portal.errors import InvalidInput, NotFound, PortalError
from portal.extensions import db
from portal.models import UsageSettings
from portal.settings import current_settings
from portal.usage import limits, month_usage
from portal.usage.events import coverage, operator_reports, reports, usage_events
from portal.usage.events.coverage import NoAgreement
from portal.usage.events.reports import Batch, Repeated, Report
from portal.usage.events.voids import MonthClosed
from portal.usage.included import taking
from portal.usage.included.taking import IncludedUsedUp
from portal.usage.limits import SpendLimitReached
from portal.usage.month_usage import MeterUsage
from portal.usage.monthly_run import corrections
from portal.usage.monthly_run.months import Month


class SelfReportClosed(PortalError):
    """Customers may not report usage here; only the operator's own services may (`USAGE_SELF_REPORT=0`)."""

    status = 403
    code = "self_report_closed"
    title = "Usage is reported by the service"

    def __init__(self) -> None:
        super().__init__("Usage is measured by the service itself here. Keys of customers cannot report it.")


blueprint = Blueprint("usage_api", __name__, url_prefix="/api/v1/usage")

OFTEN = "600/minute"  # with up to a thousand events each


class Late(Answer):
    """Events of a month that is closed."""

    events: int
    billed_with: Annotated[str, Field(description="The month on whose bill they go.", examples=["2026-12"])]


class Refused(Answer):
    """An event of an operator's report that was refused for its customer."""

    index: Annotated[int, Field(description="Its place in the report, from 0.")]
    customer: str
    code: Annotated[str, Field(description="Why, for programs.", examples=["suspended"])]
    detail: str


class Taken(Answer):
    """The recorded events."""

    accepted: int
    duplicates: Annotated[int, Field(description="Events whose identifier was recorded before.")]
    late: Annotated[Late | None, Field(exclude_if=lambda late: late is None)] = None
    refused: Annotated[
        list[Refused] | None,
        Field(exclude_if=lambda refused: refused is None, description="Only in responses for operator keys."),
    ] = None


class VoidWanted(JsonBody):
    """Which usage to void, and why."""

    customer: Annotated[
        str,
        Field(pattern=r"^[0-9]{1,18}$", description="The id that `/v1/receipt` returns.", examples=["42"]),
    ]
    identifier: Annotated[
        reports.Identifier,
        Field(description="As it is stored: with `op:` before it where an operator key reported it."),
    ]
    reason: Annotated[
        str,
        Field(
            min_length=1,
            max_length=255,
            pattern=r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$",
            description="For the audit log, which outlives accounts: no personal data.",
            examples=["Counted twice by the gateway"],
        ),
    ]


class Corrected(Answer):
    """The refund of a bill for usage that was on it."""

    amount: Annotated[int, Field(description="In minor units.", examples=[1250])]
    currency: Annotated[str, Field(examples=["usd"])]
    credits: Annotated[int, Field(description="Of that, prepaid credits that came back.", examples=[0])]
    credit_note: Annotated[str | None, Field(description="Stripe's; null where credits paid it all.")]


class UsageVoided(Answer):
    """The voided usage."""

    meter: str
    quantity: Annotated[str, Field(description="Exact, as a decimal.", examples=["1204.5"])]
    month: Annotated[str, Field(description="From whose bill.", examples=["2026-11"])]
    voided_before: Annotated[
        bool, Field(description="Whether an earlier call already voided it; this call then changed nothing.")
    ]
    correction: Annotated[
        Corrected | None, Field(description="What its bill gives back; null where its month was still open.")
    ] = None


class Asked(QueryString):
    """The requested month."""

    month: Annotated[str, Field(description="In UTC; this one, where none is given.", examples=["2026-11"])] = ""


class Metered(Answer):
    """One meter's part of a month."""

    meter: str
    name: str
    quantity: Annotated[str, Field(description="Exact, as a decimal.", examples=["1204.5"])]
    unit_price: Annotated[str, Field(description="For `per` units, in the major unit.", examples=["0.01"])]
    per: int
    included: Annotated[int, Field(description="The units that the month includes.", examples=[50000])]
    remaining: Annotated[str, Field(description="What is left of them.", examples=["48795.5"])]
    amount: Annotated[int, Field(description="Minor units, as the bill has it: for what is beyond.")]


class Limit(Answer):
    """The customer's own spend limit."""

    amount: Annotated[int, Field(description="Minor units a month.")]
    stops_usage: Annotated[bool, Field(description="Whether usage beyond it is refused (402), or only warned of.")]


class Used(Answer):
    """A month of usage."""

    month: str
    currency: str
    amount: Annotated[int, Field(description="The bill so far, in minor units.")]
    meters: list[Metered]
    limit: Limit | None


@blueprint.post("")
@caller_required("usage", limit=OFTEN, operator="usage:report")
@takes(Report)
@answers(Taken, Repeated, SpendLimitReached, NoAgreement, IncludedUsedUp, SelfReportClosed)
def report(body: Report) -> Taken:
    """Record 1 to 1000 events, or none of them. Each identifier counts once, forever.

    An operator key can report for any customer: events that a customer may not report are listed in `refused`, and
    the rest are recorded. Identifiers of operator keys are stored with the prefix `op:`.
    """
    if g.get("operator"):
        return _for_customers(body)
    if not current_settings().usage_self_report:
        raise SelfReportClosed
    batch = reports.read(body.events, clock.now())
    _require_cover(g.caller.customer_id, batch, [event.identifier for event in body.events])
    limit = limits.hard_stop(g.caller.customer_id)
    recorded = usage_events.record(g.caller.customer_id, batch)
    try:
        if recorded.accepted:  # a repeated report gets the same response, whatever the limit is by now
            limits.enforce(g.caller.customer_id, limit, (row.month for row in batch.rows))
    except SpendLimitReached as reached:
        db.session.rollback()
        limits.tell_stopped(g.caller.customer_id, reached)
        db.session.commit()
        raise
    db.session.commit()
    late = Late(events=batch.late, billed_with=str(batch.billed_with)) if batch.late else None
    return Taken(accepted=recorded.accepted, duplicates=recorded.duplicates, late=late)


def _require_cover(customer_id: int, batch: Batch, order: list[str]) -> None:
    """Raise NoAgreement for the first event that neither an agreement nor the included units cover. Flushes."""
    if uncovered := coverage.uncovered(customer_id, batch.rows):
        refused = taking.refused(customer_id, batch.rows, taking.in_order(batch.rows, order, uncovered))
        for index, identifier in enumerate(order):
            if identifier in refused:
                raise refused[identifier].at(index)


def _for_customers(body: Report) -> Taken:
    done = operator_reports.record(body.events, clock.now())
    db.session.commit()
    late = Late(events=done.late, billed_with=str(done.billed_with)) if done.late else None
    refused = [
        Refused(index=one.index, customer=str(one.customer_id), code=one.why.code, detail=one.why.detail)
        for one in done.refused
    ]
    return Taken(accepted=done.accepted, duplicates=done.duplicates, late=late, refused=refused)


@blueprint.post("/void")
@operator_required("usage:void")
@takes(VoidWanted)
@answers(UsageVoided, NotFound, MonthClosed)
def void(body: VoidWanted) -> UsageVoided:
    """Void usage that was counted by mistake.

    The event stays, and one with the negative quantity is written beside it. The reason goes to the audit log. A
    voided identifier that is reported again is a duplicate. Once its month is billed, a credit note corrects the
    bill: what was paid goes to the customer's balance at Stripe, and prepaid credits come back.
    """
    done = corrections.take_back(int(body.customer), body.identifier, body.reason)
    back = done.back
    return UsageVoided(
        correction=Corrected(**asdict(back)) if back else None,
        meter=done.meter,
        quantity=quantities.wire(done.quantity),
        month=str(done.month),
        voided_before=not done.is_new,
    )


@blueprint.get("")
@caller_required("usage", limit=OFTEN)
@asks(Asked)
@answers(Used)
def month(asked: Asked) -> Used:
    """Return the usage of a month, by meter. Late usage is listed in the month that bills it."""
    used = month_usage.of(g.caller.customer_id, _month(asked.month))
    chosen = db.session.get(UsageSettings, g.caller.customer_id)
    return Used(
        month=str(used.month),
        currency=used.currency,
        amount=used.amount,
        meters=[_shown(one) for one in used.meters],
        limit=_limit(chosen),
    )


def _month(given: str) -> Month:
    try:
        return Month.read(given) if given else Month.of(clock.now())
    except ValueError as error:
        raise InvalidInput("That is no month.", errors={"month": str(error)}) from None


def _shown(used: MeterUsage) -> Metered:
    return Metered(
        meter=used.meter.key,
        name=used.meter.name,
        quantity=quantities.wire(used.quantity),
        unit_price=f"{used.meter.unit_price:f}",
        per=used.meter.per,
        included=used.included,
        remaining=quantities.wire(used.left),
        amount=used.amount,
    )


def _limit(chosen: UsageSettings | None) -> Limit | None:
    if chosen is None or chosen.limit_amount is None:
        return None
    return Limit(amount=chosen.limit_amount, stops_usage=chosen.hard_stop)
