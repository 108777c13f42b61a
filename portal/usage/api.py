"""Reporting usage and asking for it, for a product's servers (seed 5)."""

from typing import Annotated

from flask import Blueprint, g
from pydantic import Field

from portal import clock
from portal.answers import Answer, answers
from portal.callers import caller_required
from portal.errors import InvalidInput, NotFound, PortalError
from portal.extensions import db
from portal.inputs import JsonBody, QueryString, asks, takes
from portal.models import UsageSettings
from portal.operators import operator_required
from portal.settings import current_settings
from portal.usage import batches, coverage, limits, metering, operator_reports, quantities, reports, voids
from portal.usage.batches import Repeated, Report
from portal.usage.coverage import NoAgreement
from portal.usage.limits import SpendLimitReached
from portal.usage.months import Month
from portal.usage.reports import MeterUsage
from portal.usage.voids import MonthClosed


class SelfReportClosed(PortalError):
    """The operator's own services report usage here (`USAGE_SELF_REPORT=0`)."""

    status = 403
    code = "self_report_closed"
    title = "Usage is reported by the service"

    def __init__(self) -> None:
        super().__init__("Usage is measured by the service itself here. Keys of customers cannot report it.")


blueprint = Blueprint("usage_api", __name__, url_prefix="/api/v1/usage")

OFTEN = "600/minute"  # of a thousand events each


class Late(Answer):
    """Events of a month that is closed."""

    events: int
    billed_with: Annotated[str, Field(description="The month on whose bill they go.", examples=["2026-12"])]


class Refused(Answer):
    """An event of an operator's report that its customer may not take now."""

    index: Annotated[int, Field(description="Its place in the report, from 0.")]
    customer: str
    code: Annotated[str, Field(description="Why, for programs.", examples=["suspended"])]
    detail: str


class Taken(Answer):
    """What was recorded."""

    accepted: int
    duplicates: Annotated[int, Field(description="Events whose identifier was recorded before.")]
    late: Annotated[Late | None, Field(exclude_if=lambda late: late is None)] = None
    refused: Annotated[
        list[Refused] | None,
        Field(exclude_if=lambda refused: refused is None, description="In answers to operator keys alone."),
    ] = None


class VoidWanted(JsonBody):
    """Which usage to take back, and why."""

    customer: Annotated[
        str,
        Field(pattern=r"^[0-9]{1,18}$", description="The id that `/v1/receipt` gives.", examples=["42"]),
    ]
    identifier: Annotated[
        batches.Identifier,
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


class UsageVoided(Answer):
    """What was taken back."""

    meter: str
    quantity: Annotated[str, Field(description="Exact, as a decimal.", examples=["1204.5"])]
    month: Annotated[str, Field(description="From whose bill.", examples=["2026-11"])]
    voided_before: Annotated[bool, Field(description="Whether an earlier call did it: this one changed nothing.")]


class Asked(QueryString):
    """Which month."""

    month: Annotated[str, Field(description="In UTC; this one, where none is given.", examples=["2026-11"])] = ""


class Metered(Answer):
    """One meter's part of a month."""

    meter: str
    name: str
    quantity: Annotated[str, Field(description="Exact, as a decimal.", examples=["1204.5"])]
    unit_price: Annotated[str, Field(description="For `per` units, in the major unit.", examples=["0.01"])]
    per: int
    amount: Annotated[int, Field(description="Minor units, as the bill has it.")]


class Limit(Answer):
    """The customer's own spend limit."""

    amount: Annotated[int, Field(description="Minor units a month.")]
    stops_usage: Annotated[bool, Field(description="Whether usage beyond it is refused (402), or only warned of.")]


class Used(Answer):
    """A month of usage."""

    month: str
    currency: str
    amount: Annotated[int, Field(description="The bill as it stands, in minor units.")]
    meters: list[Metered]
    limit: Limit | None


@blueprint.post("")
@caller_required("usage", limit=OFTEN, operator="usage:report")
@takes(Report)
@answers(Taken, Repeated, SpendLimitReached, NoAgreement, SelfReportClosed)
def report(body: Report) -> Taken:
    """Take 1 to 1000 events, or none of them. Each identifier counts once for ever.

    An operator key reports for any customers: what one of them may not take is listed in `refused`, the rest is
    taken. Identifiers of operator keys are stored with `op:` before them.
    """
    if g.get("operator"):
        return _for_customers(body)
    if not current_settings().usage_self_report:
        raise SelfReportClosed
    batch = batches.read(body.events, clock.now())
    if uncovered := coverage.uncovered(g.caller.customer_id, batch.rows):
        raise NoAgreement(next(at for at, one in enumerate(body.events) if one.identifier in uncovered))
    limit = limits.hard_stop(g.caller.customer_id)
    recorded = metering.record(g.caller.customer_id, batch)
    try:
        if recorded.accepted:  # what was taken before is answered as before, whatever the limit is by now
            limits.enforce(g.caller.customer_id, limit, (row.month for row in batch.rows))
    except SpendLimitReached as reached:
        db.session.rollback()
        limits.tell_stopped(g.caller.customer_id, reached)
        db.session.commit()
        raise
    db.session.commit()
    late = Late(events=batch.late, billed_with=str(batch.billed_with)) if batch.late else None
    return Taken(accepted=recorded.accepted, duplicates=recorded.duplicates, late=late)


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
    """Take back usage that was counted by mistake, until its month is closed.

    The event stays, and one of the negative quantity is written beside it; the reason goes to the audit log. A
    voided identifier that is reported again is a duplicate. Afterwards, correct the bill in Stripe.
    """
    done = voids.void(int(body.customer), body.identifier, body.reason)
    db.session.commit()
    return UsageVoided(
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
    """What was used in a month, by meter. Usage that came late stands in the month that bills it."""
    used = reports.of(g.caller.customer_id, _month(asked.month))
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
        amount=used.amount,
    )


def _limit(chosen: UsageSettings | None) -> Limit | None:
    if chosen is None or chosen.limit_amount is None:
        return None
    return Limit(amount=chosen.limit_amount, stops_usage=chosen.hard_stop)
