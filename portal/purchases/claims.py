"""Claim → call → confirm: the middle step, for every call to Stripe that has an effect.

What an answer says of the effect (https://docs.stripe.com/error-low-level, https://docs.stripe.com/api/idempotent_requests):

- a refusal: nothing happened. The next try is a new attempt, for Stripe would repeat the refusal for a day.
- no answer, 409, 429: the same key again, for 23 hours; Stripe answers a repeated key truthfully.
- a 5xx, a key used with other parameters, a key that is too old: the effect is open. What the step made is looked
  for. Money never gets a new attempt by itself: after a day a person decides.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
from sqlalchemy import select, update

from portal import clock
from portal.errors import StripeRefused, StripeUnavailable
from portal.extensions import db, insert
from portal.models import (
    MonthlyBill,
    OpenCall,
    PaymentLink,
    Purchase,
    RefundOrder,
    StripeCustomer,
    SubscriptionChange,
    TrialUse,
    UsageAgreement,
    Voiding,
)

log = structlog.get_logger()

Answer = TypeVar("Answer")
Claim = (
    Purchase
    | StripeCustomer
    | PaymentLink
    | RefundOrder
    | SubscriptionChange
    | TrialUse
    | Voiding
    | UsageAgreement
    | MonthlyBill
)

# The first word of each claim's idempotency keys. Never change one: a claim may be open across an upgrade.
WORDS: dict[type[Claim], str] = {
    Purchase: "purchases",
    StripeCustomer: "stripe_customers",
    PaymentLink: "payment_links",
    RefundOrder: "refund_orders",
    SubscriptionChange: "subscription_changes",
    TrialUse: "trial_uses",
    Voiding: "voidings",
    UsageAgreement: "usage_agreements",
    MonthlyBill: "monthly_bills",
}
KEY_LIVES = timedelta(hours=23)  # Stripe keeps a key for 24


class Unclear(StripeUnavailable):
    """Stripe failed while it acted. What became of it is looked for; it is not done a second time."""

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
    """Commit the claim, then call Stripe with the idempotency key that is made of it. Commits.

    `step` tells several calls of one claim apart. `find(named)` looks at Stripe for what the step makes, or for
    the state that it leads to, and gives None where that is not there; `named` is the id that a person gave, or
    empty. With `money` a step whose effect is open is never tried anew: it raises Unclear until it is found, or a
    person decides. Without `find` a new attempt does no harm. Raises StripeRefused, StripeUnavailable.
    """
    db.session.commit()
    known = open_call(claim, step)
    if find is not None and (known is not None or claim.attempt > 1 or _is_old(claim, known)):
        found = find(known.named if known else "")
        if found is not None:
            return _settle(known, found)
        _forbid(claim, step, known, money)
    began = clock.now()
    try:
        answer = ask(key(claim, step))
    except StripeRefused:
        found = find("") if find and (claim.attempt > 1 or not money) else None
        if found is None:
            claim.attempt += 1
            db.session.commit()
            _settle(known, None)
            raise
        answer = found
    except StripeUnavailable as error:
        found = _look(claim, step, error, began, find, money)
        if found is None:
            raise
        answer = found
        known = open_call(claim, step)
    return _settle(known, answer)


def key(claim: Claim, step: str = "") -> str:
    """The idempotency key of this attempt at a step."""
    made = f"{WORDS[type(claim)]}-{claim.id}-{claim.created_at:%Y%m%d%H%M%S%f}-{claim.attempt}"
    return f"{made}-{step}" if step else made


def open_call(claim: Claim, step: str = "") -> OpenCall | None:
    """What is known of a step whose effect is not. Commits."""
    named = {"claim": WORDS[type(claim)], "claim_id": claim.id, "step": step}
    query = select(OpenCall).filter_by(**named, settled_at=None)
    found = db.session.execute(query).scalar_one_or_none()
    db.session.commit()
    return found


def close(claim: Claim) -> None:
    """Write that somebody else found out what became of its steps. Commits."""
    mine = update(OpenCall).filter_by(claim=WORDS[type(claim)], claim_id=claim.id, settled_at=None)
    db.session.execute(mine.values(settled_at=clock.now()))
    db.session.commit()


def _is_open(known: OpenCall | None) -> bool:
    return known is not None and known.opened_at is not None


def _is_old(claim: Claim, known: OpenCall | None) -> bool:
    """Whether Stripe has perhaps forgotten the key. A month's bills are claimed together, and called later."""
    if known is not None:
        return known.called_at < clock.now() - KEY_LIVES
    is_first = claim.attempt == 1 and not isinstance(claim, MonthlyBill)
    return is_first and claim.created_at < clock.now() - KEY_LIVES


def _forbid(claim: Claim, step: str, known: OpenCall | None, money: bool) -> None:
    """Raise Unclear where money moved perhaps; else begin a new attempt where the key is too old. Commits."""
    is_old = _is_old(claim, known)
    if money and is_old and not _is_open(known):
        _note(claim, step, claim.created_at, "key_too_old")
    if money and (is_old or _is_open(known)):
        raise _unclear()
    if is_old:
        claim.attempt += 1
        db.session.commit()


def _look(
    claim: Claim,
    step: str,
    error: StripeUnavailable,
    began: datetime,
    find: Callable[[str], Answer | None] | None,
    money: bool,
) -> Answer | None:
    """What the step made, where the answer left that open. None: raise the error. Raises Unclear. Commits."""
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
        claim.attempt += 1
        db.session.commit()
    return found


def _unclear() -> Unclear:
    return Unclear(
        "Stripe had trouble in the middle of this. We are finding out what became of it and go on from there."
        " Please do not try again.",
    )


def _note(claim: Claim, step: str, called_at: datetime, reason: str | None = None) -> None:
    """Write that a step's effect is not known; with a reason its key says nothing any more. Commits."""
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
    """Write that the effect is known now. Commits."""
    if known is not None:
        known.settled_at = clock.now()
    db.session.commit()
    return answer
