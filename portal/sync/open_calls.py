"""Finding the outcome of calls with an unknown effect: from scheduled tasks, webhooks, and an admin's decision."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, select

from portal import audit, clock
from portal.enums import Mode
from portal.errors import Conflict, NotFound, PortalError
from portal.extensions import db
from portal.models import OpenCall, StripeCustomer
from portal.sync import idempotency, locks

log = structlog.get_logger()

CALL_LIVES = timedelta(minutes=1)  # longer than any call to Stripe with its retries
LOOKED_FOR = timedelta(hours=24)  # Stripe may still finish a call that failed
AT_ONCE = 200


@dataclass(frozen=True)
class Kind:
    """What a kind of claim registers in create_app.

    `resume` continues the claim, whose steps look for what they created; it commits. `give_up` records that an
    admin has to decide, and `reopen` that it is tried again; both flush. `words` describe the call.
    """

    resume: Callable[[Any], None]
    give_up: Callable[[Any], None]
    reopen: Callable[[Any], None]
    words: Callable[[Any], str]


UNCLEAR = (OpenCall.unclear_at.is_not(None), OpenCall.settled_at.is_(None))

kinds: dict[str, Kind] = {}  # by the first word of the claim's keys
MODELS = {word: model for model, word in idempotency.WORDS.items()}


@dataclass(frozen=True)
class Shown:
    """A call that an admin decides about, as the page shows it."""

    call: OpenCall
    words: str


def register(model: type[idempotency.Claim], kind: Kind) -> None:
    """Register a kind of claim whose open calls are resumed."""
    kinds[idempotency.WORDS[model]] = kind


def run() -> int:
    """Scheduled task: continue the claims with an unknown effect and return how many. Commits after each."""
    is_left = OpenCall.opened_at.is_not(None) | (OpenCall.called_at < clock.now() - CALL_LIVES)
    return _go_on(OpenCall.unclear_at.is_(None) & is_left)


def ask_about(mode: Mode, stripe_customer: str | None) -> int:
    """Do the same for the claims of one customer, after a webhook about them. Commits after each."""
    if stripe_customer is None:
        return 0
    names = select(StripeCustomer.customer_id).filter_by(mode=mode, stripe_id=stripe_customer)
    return _go_on(OpenCall.customer_id.in_(names) & OpenCall.opened_at.is_not(None))


def ask_about_claim(model: type[idempotency.Claim], claim_id: int) -> int:
    """Do the same for one claim, which the metadata of a webhook's object names."""
    mine = (OpenCall.claim == idempotency.WORDS[model]) & (OpenCall.claim_id == claim_id)
    return _go_on(mine & OpenCall.opened_at.is_not(None))


def _go_on(which: ColumnElement[bool]) -> int:
    query = select(OpenCall).where(which, OpenCall.settled_at.is_(None), OpenCall.claim.in_(kinds))
    found = db.session.execute(query.order_by(OpenCall.id).limit(AT_ONCE)).scalars().all()
    db.session.commit()
    for call in found:
        _resume(call)
        if call.settled_at is None and call.unclear_at is None and _is_over(call):
            _give_up(call)
    return len(found)


def _resume(call: OpenCall) -> None:
    """Continue a claim. If that fails, the other claims still run."""
    claim = _claim(call)
    try:
        kinds[call.claim].resume(claim)
    except PortalError as reason:
        db.session.rollback()
        log.warning("open_call_not_settled", claim=call.claim, row=call.claim_id, reason=reason.code)
    db.session.refresh(call)
    db.session.commit()


def _is_over(call: OpenCall) -> bool:
    return call.opened_at is not None and call.opened_at < clock.now() - LOOKED_FOR


def _give_up(call: OpenCall) -> None:
    """Leave the decision to an admin after a day without a result. Commits."""
    claim = _claim(call)
    _lock(call)
    call.unclear_at = clock.now()
    kinds[call.claim].give_up(claim)
    _record(call, "unclear", {"reason": call.reason})
    db.session.commit()
    log.error("effect_unclear", claim=call.claim, row=call.claim_id, step=call.step)


def _lock(call: OpenCall) -> None:
    """Lock the owner before the claim and the call. Flushes."""
    if call.customer_id is not None:
        owner = select(OpenCall.customer_id).filter_by(id=call.id)
        locks.lock_owner(lambda: db.session.execute(owner).scalar_one())


def _claim(call: OpenCall) -> Any:
    claim = db.session.get(MODELS[call.claim], call.claim_id, populate_existing=True)
    db.session.commit()
    assert claim is not None
    return claim


def _record(call: OpenCall, what: str, facts: dict[str, Any]) -> None:
    subject = f"{call.claim} {call.claim_id} {call.step}".strip()
    audit.record(f"stripe_call.{what}", customer_id=call.customer_id, subject=subject, after=facts)


def unclear() -> list[Shown]:
    """List the calls that an admin has to decide about, oldest first."""
    query = select(OpenCall).where(*UNCLEAR)
    found = db.session.execute(query.order_by(OpenCall.id).limit(AT_ONCE)).scalars().all()
    return [Shown(call, kinds[call.claim].words(_read(call))) for call in found if call.claim in kinds]


def _read(call: OpenCall) -> Any:
    return db.session.get_one(MODELS[call.claim], call.claim_id)


def happened(call_id: int, stripe_id: str) -> None:
    """Continue from a call that an admin says has taken effect. Commits.

    `stripe_id` is the object that it created; if empty, it is looked for once more. Raises Conflict if Stripe has
    nothing that matches, and NotFound.
    """
    call = _unclear(call_id)
    call.named = stripe_id
    _record(call, "happened", {"named": stripe_id})
    db.session.commit()
    _resume(call)
    if call.settled_at is None:
        words = "Stripe has nothing there that fits this. Check the id, or look again in a moment."
        raise Conflict(words, money="Nothing was changed.")


def again(call_id: int) -> None:
    """Make a new attempt at a call that an admin says has not taken effect. Commits. Raises NotFound."""
    call = _unclear(call_id)
    claim: Any = db.session.get_one(MODELS[call.claim], call.claim_id, populate_existing=True)
    claim.attempt += 1
    call.settled_at = clock.now()
    kinds[call.claim].reopen(claim)
    _record(call, "done_again", {"attempt": claim.attempt})
    db.session.commit()
    _resume(call)


def _unclear(call_id: int) -> OpenCall:
    """Return the call, locked, so that only one of two concurrent decisions succeeds. Raises NotFound."""
    query = select(OpenCall).where(OpenCall.id == call_id, *UNCLEAR)
    found = db.session.execute(query).scalar_one_or_none()
    if found is not None:
        _lock(found)
        again = query.with_for_update().execution_options(populate_existing=True)
        found = db.session.execute(again).scalar_one_or_none()
    if found is None:
        raise NotFound("Somebody has decided about this already, or it was found.")
    return found
