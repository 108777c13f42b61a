"""Plans that an admin gives to a customer, until a date or until an admin ends them."""

from datetime import datetime

import structlog
from sqlalchemy import select

from portal import audit, clock, mail
from portal.catalogue import items
from portal.customers import access, owners, stripe_customers
from portal.enums import Mode
from portal.errors import InvalidInput, NotFound
from portal.extensions import db, once_committed
from portal.models import Customer, GivenPlan, Plan
from portal.sync.locks import lock

log = structlog.get_logger()

AT_ONCE = 200  # plans that one run ends


def holder(email: str, mode: Mode) -> Customer:
    """Return who gets a plan that is given to an address: the account that has proven it, else the unclaimed user
    who has one already, else a new one. Flushes.
    """
    account, waiting = owners.both(email)
    if account is None or not account.is_proven:
        mine = select(Customer).join(GivenPlan, GivenPlan.customer_id == Customer.id)
        mine = mine.where(Customer.user_id.in_([user.id for user in waiting]), GivenPlan.ended_at.is_(None))
        known = db.session.execute(mine.filter_by(mode=mode).order_by(Customer.id)).scalars().first()
        if known:
            return known
    return stripe_customers.of(owners.of(email), mode)


def open_one(customer: Customer) -> GivenPlan | None:
    """Return the plan that was given to this customer and has not ended."""
    query = select(GivenPlan).filter_by(customer_id=customer.id, ended_at=None)
    return db.session.execute(query.execution_options(populate_existing=True)).scalar_one_or_none()


def give(customer: Customer, tier: str, until: datetime | None) -> GivenPlan:
    """Give a plan until `until`, or without an end, and mail the customer. Flushes.

    The same plan again changes its end; another plan replaces the one before. What the customer pays for goes on.
    Raises InvalidInput for an unknown or free plan, and for a date that has passed.
    """
    plan = _plan(tier)
    if until is not None and until <= clock.now(customer.clock_at):
        raise InvalidInput("That date has passed.", errors={"until": "has passed"})
    lock(customer.id)
    known = open_one(customer)
    if known and known.tier == tier:
        if known.until == until:
            return known
        was, known.until = known.until, until
        db.session.flush()
        _note("plan.given_until", known, before={"until": was.isoformat() if was else None})
    else:
        if known:
            _end(known)
        known = GivenPlan(customer_id=customer.id, tier=tier, until=until, created_at=clock.now())
        db.session.add(known)
        db.session.flush()
        _note("plan.given", known)
    key = f"plan-given:{known.id}:{until.isoformat() if until else 'open'}"
    page = mail.external("billing.overview")
    mail.tell(customer, "plan_given", key, plan=plan.name, until=until and until.isoformat(), page=page)
    return known


def end(customer: Customer) -> GivenPlan:
    """End the plan that was given to this customer, and mail them. Flushes. Raises NotFound."""
    lock(customer.id)
    known = open_one(customer)
    if known is None:
        raise NotFound("This customer has no plan that was given.")
    _end(known)
    _tell_of_end(customer, known)
    return known


def sweep() -> int:
    """Scheduled task: close plans whose date has come and mail their customers; return how many.

    Access ended at that date by itself. Commits after each.
    """
    due = select(GivenPlan.id).where(GivenPlan.ended_at.is_(None), GivenPlan.until <= clock.now())
    ids = db.session.execute(due.order_by(GivenPlan.until).limit(AT_ONCE)).scalars().all()
    db.session.commit()
    return sum(_close(row_id) for row_id in ids)


def _close(row_id: int) -> bool:
    row = db.session.get_one(GivenPlan, row_id)
    customer = db.session.get_one(Customer, row.customer_id)
    lock(customer.id)
    db.session.refresh(row)
    is_due = row.ended_at is None and row.until is not None and row.until <= clock.now()  # it may be extended now
    if is_due:
        _end(row)
        _tell_of_end(customer, row)
    db.session.commit()
    return is_due


def _plan(tier: str) -> Plan:
    plan = items.plan_of(tier)
    if plan is None or tier == access.FREE:
        raise InvalidInput("The catalogue has no such plan to give.", errors={"plan": "not a plan's tier"})
    return plan


def _end(row: GivenPlan) -> None:
    row.ended_at = clock.now()
    db.session.flush()
    _note("plan.given_ended", row)


def _tell_of_end(customer: Customer, row: GivenPlan) -> None:
    plan = items.plan_of(row.tier)
    now_on = access.of(customer).plan_name
    mail.tell(
        customer,
        "plan_given_ended",
        f"plan-given-ended:{row.id}",
        plan=plan.name if plan else row.tier.capitalize(),
        now_on=now_on,
        page=mail.external("billing.pricing"),
    )


def _note(action: str, row: GivenPlan, before: dict[str, str | None] | None = None) -> None:
    access.mark_changed(row.customer_id)
    after = {"tier": row.tier, "until": row.until.isoformat() if row.until else None}
    audit.record(action, customer_id=row.customer_id, subject=row.tier, before=before, after=after)
    once_committed(log.info, action.replace(".", "_"), customer=row.customer_id, tier=row.tier)
