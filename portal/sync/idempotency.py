"""The call step of claim → call → confirm, for every call to Stripe that has an effect.

What a response says about the effect (https://docs.stripe.com/error-low-level,
https://docs.stripe.com/api/idempotent_requests):

- a refusal: nothing happened. The next try is a new attempt, because Stripe repeats the refusal for a day.
- no response, 409, 429: repeat the same key for 23 hours. Stripe answers a repeated key truthfully.
- a 5xx, a key used with other parameters, a key that is too old: the effect is unknown. The object that the step
  creates is looked for at Stripe. A payment never gets a new attempt automatically: after a day an admin decides.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import structlog
from sqlalchemy import select, update

from portal import clock, instruments
from portal.errors import StripeRefused, StripeUnavailable
from portal.extensions import db, insert
from portal.models import (
    MonthlyBill,
    OpenCall,
    Order,
    OrderInvoice,
    PaymentLink,
    RefundRequest,
    StripeCustomer,
    SubscriptionChange,
    TrialUse,
    UsageAgreement,
    UsageCorrection,
    Voiding,
)

log = structlog.get_logger()

Answer = TypeVar("Answer")
Claim = (
    Order
    | StripeCustomer
    | PaymentLink
    | RefundRequest
    | SubscriptionChange
    | TrialUse
    | Voiding
    | UsageAgreement
    | MonthlyBill
    | UsageCorrection
    | OrderInvoice
)

# The first word of each claim's idempotency keys. Never change one: a claim may be open across an upgrade.
WORDS: dict[type[Claim], str] = {
    Order: "purchases",
    StripeCustomer: "stripe_customers",
    PaymentLink: "payment_links",
    RefundRequest: "refund_orders",
    SubscriptionChange: "subscription_changes",
    TrialUse: "trial_uses",
    Voiding: "voidings",
    UsageAgreement: "usage_agreements",
    MonthlyBill: "monthly_bills",
    UsageCorrection: "usage_corrections",
    OrderInvoice: "order_invoices",
}

# Every step of each kind, as passed to `call`; "*" stands for an id. Each step has a test in which Stripe acts and
# the response is lost (tests/faults). A step is part of the key: never rename one.
STEPS: dict[type[Claim], tuple[str, ...]] = {
    Order: ("", "default", "card", "next-card", "subscribe", "pay"),
    StripeCustomer: ("", "clock", "on-clock", "default-*", "tax-id-*"),
    PaymentLink: ("",),
    RefundRequest: ("",),
    SubscriptionChange: (
        "",
        "release",
        "create",
        "phases",
        "undo",
        "void",
        "again-create",
        "again-phases",
        "back-release",
    ),
    TrialUse: ("",),
    Voiding: ("",),
    UsageAgreement: ("",),
    MonthlyBill: ("draft", "final", "*"),
    UsageCorrection: ("",),
    OrderInvoice: ("draft", "line-*", "final", "attach", "void"),
}
KEY_LIVES = timedelta(hours=23)  # Stripe keeps a key for 24

ERROR_STANDS = timedelta(minutes=10)


class Unclear(StripeUnavailable):
    """Stripe failed while executing the call. The outcome is looked for, and the call is not repeated."""

    code = "effect_unclear"
    title = "Stripe has not said what became of it"


def call(
    claim: Claim,
    ask: Callable[[str], Answer],
    step: str = "",
    *,
    find: Callable[[str], Answer | None] | None = None,
    money: bool = False,
) -> Answer:
    """Commit the claim, then call Stripe with the idempotency key derived from it. Commits.

    `step` distinguishes several calls of one claim. `find(named)` looks at Stripe for the object that the step
    creates, or for the state that it leads to, and returns None if it is not there; `named` is the id that an
    admin entered, or empty. With `money`, a step with an unknown effect is never attempted again: it raises
    Unclear until the effect is found or an admin decides. Without `find`, a new attempt does no harm. Raises
    StripeRefused, StripeUnavailable.
    """
    step_of(claim, step)
    db.session.commit()
    known = open_call(claim, step)
    if find is not None and (known is not None or claim.attempt > 1 or _is_old(claim, known)):
        found = find(known.named if known else "")
        if found is not None:
            return _settle(known, found)
        _forbid(claim, step, known, money)
    began = clock.now()
    try:
        found = _counted(claim.mode, lambda: ask(key(claim, step))) if money else ask(key(claim, step))
    except StripeRefused:
        found = find("") if find and (claim.attempt > 1 or not money) else None
        if found is None:
            _begin_attempt(claim)
            _settle(known, None)
            raise
    except StripeUnavailable as error:
        found = _look(claim, step, error, began, find, money)
        if found is None:
            raise
        known = open_call(claim, step)
    return _settle(known, found)


def _counted(mode: str, ask: Callable[[], Answer]) -> Answer:
    """Make a call that moves money, and count its outcome for /metrics. A decline is no error."""
    outcome = "answered"
    try:
        return ask()
    except StripeRefused:
        outcome = "refused"
        raise
    except StripeUnavailable as error:
        outcome = "error" if error.outcome in ("no_answer", "server_error") else error.outcome
        raise
    finally:
        instruments.PAYMENT_CALLS.labels(mode, outcome).inc()


def key(claim: Claim, step: str = "") -> str:
    """Return the idempotency key of this attempt at a step."""
    made = f"{WORDS[type(claim)]}-{claim.id}-{claim.created_at:%Y%m%d%H%M%S%f}-{claim.attempt}"
    return f"{made}-{step}" if step else made


def content_key(kind: str, params: Mapping[str, Any]) -> str:
    """Return an idempotency key derived from the parameters, for objects without a row: two concurrent calls
    create one.

    The created object is found by listing the next time. After an error the key changes within ten minutes,
    because Stripe would repeat the error for a day.
    """
    text = json.dumps(params, sort_keys=True)
    turn = int(clock.now().timestamp() // ERROR_STANDS.total_seconds())
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:32]}-{turn}"


def step_of(claim: Claim, step: str) -> str:
    """Return the first name in STEPS that matches this step. Raises LookupError if none does."""
    fitting = (name for name in STEPS[type(claim)] if fnmatchcase(step, name))
    if (found := next(fitting, None)) is None:
        raise LookupError(f"{WORDS[type(claim)]} have no step {step!r}")
    return found


def open_call(claim: Claim, step: str = "") -> OpenCall | None:
    """Return the open call of a step with an unknown effect. Commits."""
    named = {"claim": WORDS[type(claim)], "claim_id": claim.id, "step": step}
    query = select(OpenCall).filter_by(**named, settled_at=None)
    found = db.session.execute(query).scalar_one_or_none()
    db.session.commit()
    return found


def close(claim: Claim) -> None:
    """Record that the outcome of a claim's steps became known elsewhere. Commits."""
    mine = update(OpenCall).filter_by(claim=WORDS[type(claim)], claim_id=claim.id, settled_at=None)
    db.session.execute(mine.values(settled_at=clock.now()))
    db.session.commit()


def _is_open(known: OpenCall | None) -> bool:
    return known is not None and known.opened_at is not None


def _is_old(claim: Claim, known: OpenCall | None) -> bool:
    """Return whether Stripe may have forgotten the key. A month's bills are claimed together and called later."""
    if known is not None:
        return known.called_at < clock.now() - KEY_LIVES
    is_first = claim.attempt == 1 and not isinstance(claim, MonthlyBill)
    return is_first and claim.created_at < clock.now() - KEY_LIVES


def _forbid(claim: Claim, step: str, known: OpenCall | None, money: bool) -> None:
    """Raise Unclear if money may have moved; otherwise begin a new attempt if the key is too old. Commits."""
    is_old = _is_old(claim, known)
    if money and is_old and not _is_open(known):
        _note(claim, step, claim.created_at, "key_too_old")
    if money and (is_old or _is_open(known)):
        raise _unclear()
    if is_old:
        _begin_attempt(claim)


def _look(
    claim: Claim,
    step: str,
    error: StripeUnavailable,
    began: datetime,
    find: Callable[[str], Answer | None] | None,
    money: bool,
) -> Answer | None:
    """Return what the step created, if the response left it unknown. None: raise the error. Raises Unclear.
    Commits.
    """
    if not error.failure:
        if money:
            _note(claim, step, began)
        return None
    if money:
        _note(claim, step, began, error.failure)
    found = find("") if find else None
    if found is None and money:
        raise _unclear() from error
    if found is None:
        _begin_attempt(claim)
    return found


def _begin_attempt(claim: Claim) -> None:
    """Give the next call a new key. Commits."""
    claim.attempt += 1
    db.session.commit()


def _unclear() -> Unclear:
    return Unclear(
        "Stripe had trouble in the middle of this. We are finding out what became of it and go on from there."
        " Please do not try again.",
    )


def _note(claim: Claim, step: str, called_at: datetime, reason: str | None = None) -> None:
    """Record that a step's effect is unknown. With a reason, its key proves nothing any more. Commits."""
    now = clock.now()
    named = {"claim": WORDS[type(claim)], "claim_id": claim.id, "step": step}
    row = named | {
        "mode": claim.mode,
        "customer_id": getattr(claim, "customer_id", None),
        "named": "",
        "called_at": called_at,
    }
    db.session.execute(insert(OpenCall).values(row).on_conflict_do_nothing())
    if reason:
        opened = update(OpenCall).filter_by(**named, settled_at=None, opened_at=None)
        db.session.execute(opened.values(opened_at=now, reason=reason))
        log.error("effect_open", step=step, reason=reason, claim=named["claim"], row=claim.id)
    db.session.commit()


def _settle(known: OpenCall | None, answer: Answer) -> Answer:
    """Record that the effect is known now. Commits."""
    if known is not None:
        known.settled_at = clock.now()
    db.session.commit()
    return answer
