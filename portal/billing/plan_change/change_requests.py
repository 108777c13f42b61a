"""The claims of subscription changes: one open at a time, each sent to Stripe once."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import structlog
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from portal import audit, clock, gateway
from portal.billing import invoices, subscriptions
from portal.billing.plan_change import debits, steps
from portal.enums import Mode
from portal.errors import Conflict, PortalError, StripeRefused, StripeUnavailable
from portal.extensions import db, rows_changed
from portal.models import InvoiceStatus, Subscription, SubscriptionChange

log = structlog.get_logger()

CALL_LIVES = timedelta(minutes=1)  # longer than any call to Stripe with its retries
GOOD_FOR = timedelta(minutes=15)  # as long as a displayed price
AT_ONCE = 200
NOTHING = "Nothing was changed, and you were not charged."
GOING_BACK = "You were not charged. What was planned for your next renewal is being planned again just now."
LOST = "You were not charged, but what was planned for your next renewal is planned no more. Please plan it again."
DECIDING = ("status", "price_id", "cancel_at", "schedule_id", "pending_until")
Answer = TypeVar("Answer")


class UnderWay(Conflict):
    """Another change of the same subscription was started at the same time."""

    code = "change_under_way"
    title = "Your plan is being changed already"


class NotAccepted(Conflict):
    """Stripe refused a change. `money` says what the subscription is now."""


class OnItsWay(Conflict):
    """An earlier change was made, and its payment takes days."""

    code = "payment_on_its_way"
    title = "A payment is on its way"


def claim(subscription: Subscription, kind: str, params: dict[str, Any]) -> SubscriptionChange:
    """Write the claim's row. An identical one that got no response is continued. Commits.

    Raises UnderWay if another change is in progress, or was since the subscription was read.
    """
    earlier = _open(subscription)
    if earlier is not None:
        if (earlier.kind, _wanted(earlier.params)) == (kind, _wanted(params)):
            return _taken_up(earlier)
        if params.get("before") is None:  # which its first step may have removed
            params = params | {"before": steps.before_of(earlier)}
        _take(earlier, state="failed", finished_at=clock.now())  # the next sync finds its outcome
    change = SubscriptionChange(
        customer_id=subscription.customer_id,
        mode=subscription.mode,
        subscription_id=subscription.stripe_id,
        kind=kind,
        params=params,
        called_at=clock.now(),
        created_at=clock.now(),
    )
    db.session.add(change)
    try:
        db.session.flush()
    except IntegrityError:
        db.session.rollback()
        raise _under_way() from None
    _require_unchanged(subscription)
    db.session.commit()
    return change


def _wanted(params: dict[str, Any]) -> list[Any]:
    """Return the target of a change, whatever has to be undone first."""
    return [params.get("update"), params.get("planned"), params.get("end"), bool(params.get("back"))]


def carry_out(change: SubscriptionChange, do: Callable[[], Answer]) -> Answer:
    """Make the calls to Stripe. A definite refusal undoes earlier steps and ends the change. Commits.

    Raises NotAccepted; and StripeUnavailable, after which the same request, or `run`, continues.
    """
    try:
        return do()
    except StripeRefused as refusal:
        try:
            is_back = steps.put_back(change)
        except StripeUnavailable:
            _let_go(change)
            raise _not_accepted(GOING_BACK) from refusal
        finish(change, "failed")
        raise _not_accepted(NOTHING if is_back else LOST) from refusal
    except StripeUnavailable:
        _let_go(change)
        raise


def _let_go(change: SubscriptionChange) -> None:
    """Record that no process is working on it. Commits."""
    change.called_at = None
    db.session.commit()


def run() -> int:
    """Scheduled task: finish changes that were interrupted, and return how many. Commits after each.

    A confirmed change is completed while its price is valid. Later it is undone, unless it is already made.
    """
    is_left = SubscriptionChange.called_at.is_(None) | (SubscriptionChange.called_at < clock.now() - CALL_LIVES)
    query = select(SubscriptionChange).where(SubscriptionChange.state == "open", is_left)
    left = db.session.execute(query.order_by(SubscriptionChange.id).limit(AT_ONCE)).scalars().all()
    db.session.commit()
    for change in left:
        try:
            _go_on(_taken_up(change))
        except PortalError as reason:  # the others continue; this one is retried at the next run
            db.session.rollback()
            log.warning("change_not_finished", change=change.id, reason=reason.code)
    return len(left)


def _go_on(change: SubscriptionChange) -> None:
    if change.params.get("back"):
        _go_back(change)
    elif change.created_at > clock.now() - GOOD_FOR:
        follow(change, carry_out(change, lambda: steps.forward(change)))
    elif steps.is_made(change):
        follow(change, gateway.of(change.mode).subscription(change.subscription_id))
    else:
        _go_back(change)


def _go_back(change: SubscriptionChange) -> None:
    """Undo the change: void its invoice, and restore what was scheduled. Commits."""
    try:
        if change.params.get("invoice"):
            steps.undo(change, change.params["invoice"])
        else:
            steps.put_back(change)
    except StripeUnavailable:
        _let_go(change)
        raise
    finish(change, "failed", invoice=change.params.get("invoice"))


def follow(change: SubscriptionChange, updated: gateway.Subscription | None) -> str:
    """Return the result of an update: `done`, `waits` for its payer, `paying` or `declined`. Commits.

    A payment that takes days (a bank debit, an invoice that was sent) keeps the change `paying`.
    """
    is_slow = bool(change.params.get("undo"))
    if updated is None or updated.latest_invoice is None or not (is_slow or updated.pending_until):
        finish(change, invoice=updated.latest_invoice if updated and change.kind == "change" else None)
        return "done"
    invoice_id = change.params.get("invoice") or updated.latest_invoice
    invoice = gateway.of(change.mode).invoice(invoice_id)
    if invoice.status == InvoiceStatus.PAID or invoice.needs_action:
        finish(change, invoice=invoice_id)
        return "done" if invoice.status == InvoiceStatus.PAID else "waits"
    if is_slow and not (invoice.payment_failed or InvoiceStatus(invoice.status).is_given_up):
        steps.note(change, invoice=invoice_id)
        finish(change, "paying", invoice=invoice_id)
        return "paying"
    steps.note(change, invoice=invoice_id, back=True)
    carry_out(change, lambda: steps.undo(change, invoice_id))
    finish(change, "failed", invoice=invoice_id)
    return "declined"


def follow_payment(mode: Mode, subscription_id: str) -> str:
    """Sync a change whose payment takes days; return an empty string if there is none. Commits."""
    query = select(SubscriptionChange).filter_by(mode=mode, subscription_id=subscription_id, state="paying")
    change = db.session.execute(query).scalar_one_or_none()
    db.session.commit()
    if change is None:
        return ""
    ended = follow(change, gateway.of(mode).subscription(subscription_id))
    if ended == "declined":
        debits.tell_failed(change)
    return ended


def move(change: SubscriptionChange, state: str) -> None:
    """Change the state of a change, and write the audit entry. Flushes."""
    before, change.state = change.state, state
    if state != "paying":  # in that state, `called_at` says when Stripe was last asked
        change.called_at, change.finished_at = None, clock.now()
    if state != before:
        audit.record(
            f"subscription_change.{state}",
            customer_id=change.customer_id,
            subject=change.subscription_id,
            before={"state": before},
            after={"state": state, "kind": change.kind},
        )


def finish(change: SubscriptionChange, state: str = "done", *, invoice: str | None = None) -> None:
    """Write the result, and sync our copies of subscription and invoice. Commits.

    If Stripe does not answer, the webhook syncs them.
    """
    try:
        subscriptions.sync(change.mode, change.subscription_id)
        if invoice:
            invoices.sync(change.mode, invoice)
    except (StripeUnavailable, StripeRefused) as error:
        log.warning("change_not_synced", subscription=change.subscription_id, reason=type(error).__name__)
    move(change, state)  # last, so that the next change reads what this one did
    db.session.commit()
    if state != "paying" and change.params.get("held"):  # our copy now shows what Stripe has
        subscriptions.sync(change.mode, change.subscription_id)


def _not_accepted(what_is_so: str) -> NotAccepted:
    """Return the error for a definite refusal."""
    return NotAccepted(
        "Stripe did not accept the change, perhaps because your plan was changed elsewhere.",
        money=what_is_so,
        action=("/billing", "See your billing"),
    )


def _open(subscription: Subscription) -> SubscriptionChange | None:
    query = select(SubscriptionChange).filter_by(mode=subscription.mode, subscription_id=subscription.stripe_id)
    query = query.where(SubscriptionChange.state.in_(("open", "paying")))
    return db.session.execute(query).scalar_one_or_none()


def _taken_up(change: SubscriptionChange) -> SubscriptionChange:
    _take(change, called_at=clock.now())
    db.session.commit()
    db.session.refresh(change)
    db.session.commit()
    return change


def _require_unchanged(subscription: Subscription) -> None:
    """Check that the subscription is still the one that was shown, under the lock. Raises UnderWay."""
    before = [getattr(subscription, name) for name in DECIDING]
    db.session.refresh(subscription)
    if before != [getattr(subscription, name) for name in DECIDING]:
        db.session.rollback()
        raise _under_way()


def _take(change: SubscriptionChange, **values: Any) -> None:
    """Write to an open change that no process is working on; only one of two concurrent ones succeeds. Flushes.

    Raises UnderWay, OnItsWay.
    """
    if change.state == "paying":
        raise on_its_way()
    left = SubscriptionChange.called_at.is_(None) | (SubscriptionChange.called_at < clock.now() - CALL_LIVES)
    take = update(SubscriptionChange).where(
        SubscriptionChange.id == change.id, SubscriptionChange.state == "open", left
    )
    if not rows_changed(take.values(**values)):
        db.session.rollback()
        raise _under_way()


def on_its_way() -> OnItsWay:
    """Return the error that refuses other changes while an earlier one is being paid for."""
    return OnItsWay(
        "Your last change is not paid yet. A bank payment can take several days; an invoice is paid from your "
        "billing page. You can change or cancel your plan once it is paid. We will email you.",
        money="Nothing was changed by this request.",
        action=("/billing", "See your billing"),
    )


def _under_way() -> UnderWay:
    return UnderWay(
        "Another change of your plan is being carried out, perhaps from another window. Look at your billing page "
        "in a moment.",
        money="Nothing was changed by this request.",
        action=("/billing", "See your billing"),
    )
