"""Finding out what became of calls whose effect is not known: by the tick, by webhooks, and by a person's word."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, select

from portal import audit, clock
from portal.customers import locks
from portal.errors import Conflict, NotFound, PortalError
from portal.extensions import db
from portal.models import OpenCall, StripeCustomer
from portal.purchases import claims

log = structlog.get_logger()

CALL_LIVES = timedelta(minutes=1)  # longer than any call to Stripe with its retries
LOOKED_FOR = timedelta(hours=24)  # Stripe may finish what it failed at
AT_ONCE = 200


@dataclass(frozen=True)
class Kind:
    """What a kind of claim registers in create_app.

    `resume` goes on with the claim, whose steps look for what they made; it commits. `give_up` writes that a
    person decides from now on, and `reopen` that it is tried again; both flush. `words` say what was asked for.
    """

    resume: Callable[[Any], None]
    give_up: Callable[[Any], None]
    reopen: Callable[[Any], None]
    words: Callable[[Any], str]


UNCLEAR = (OpenCall.unclear_at.is_not(None), OpenCall.settled_at.is_(None))

kinds: dict[str, Kind] = {}  # by the first word of the claim's keys
MODELS = {word: model for model, word in claims.WORDS.items()}


@dataclass(frozen=True)
class Shown:
    """A call that a person decides about, in words."""

    call: OpenCall
    words: str


def register(model: type[claims.Claim], kind: Kind) -> None:
    """Let a kind of claim be looked after."""
    kinds[claims.WORDS[model]] = kind


def run() -> int:
    """The tick's chore: go on with the claims whose effect is not known; gives how many. Commits as it goes."""
    is_left = OpenCall.opened_at.is_not(None) | (OpenCall.called_at < clock.now() - CALL_LIVES)
    return _go_on(OpenCall.unclear_at.is_(None) & is_left)


def ask_about(mode: str, stripe_customer: str | None) -> int:
    """The same for those of one customer, of whom a webhook tells; gives how many. Commits as it goes."""
    if stripe_customer is None:
        return 0
    names = select(StripeCustomer.customer_id).filter_by(mode=mode, stripe_id=stripe_customer)
    return _go_on(OpenCall.customer_id.in_(names) & OpenCall.opened_at.is_not(None))


def ask_about_claim(model: type[claims.Claim], claim_id: int) -> int:
    """The same for one claim, which the metadata of a webhook's object names."""
    mine = (OpenCall.claim == claims.WORDS[model]) & (OpenCall.claim_id == claim_id)
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
    """Go on with a claim; one that cannot keeps no other from it."""
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
    """Nobody found it in a day: a person decides. Commits."""
    claim = _claim(call)
    _lock(call)
    call.unclear_at = clock.now()
    kinds[call.claim].give_up(claim)
    _record(call, "unclear", {"reason": call.reason})
    db.session.commit()
    log.error("effect_unclear", claim=call.claim, row=call.claim_id, step=call.step)


def _lock(call: OpenCall) -> None:
    """Lock whose it is, ahead of the claim and the call. Flushes."""
    if call.customer_id is not None:
        locks.lock(call.customer_id)


def _claim(call: OpenCall) -> Any:
    claim = db.session.get(MODELS[call.claim], call.claim_id, populate_existing=True)
    db.session.commit()
    assert claim is not None
    return claim


def _record(call: OpenCall, what: str, facts: dict[str, Any]) -> None:
    subject = f"{call.claim} {call.claim_id} {call.step}".strip()
    audit.record(f"stripe_call.{what}", customer_id=call.customer_id, subject=subject, after=facts)


def unclear() -> list[Shown]:
    """The calls that a person decides about, the oldest first."""
    query = select(OpenCall).where(*UNCLEAR)
    found = db.session.execute(query.order_by(OpenCall.id).limit(AT_ONCE)).scalars().all()
    return [Shown(call, kinds[call.claim].words(_read(call))) for call in found if call.claim in kinds]


def _read(call: OpenCall) -> Any:
    return db.session.get_one(MODELS[call.claim], call.claim_id)


def happened(call_id: int, stripe_id: str) -> None:
    """A person says that it was done: go on from there. Commits.

    `stripe_id` is the object that it made; empty: look for it once more. Raises Conflict where Stripe has nothing
    that fits, and NotFound.
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
    """A person says that it was not done: do it, as a new attempt. Commits. Raises NotFound."""
    call = _unclear(call_id)
    claim: Any = db.session.get_one(MODELS[call.claim], call.claim_id, populate_existing=True)
    claim.attempt += 1
    call.settled_at = clock.now()
    kinds[call.claim].reopen(claim)
    _record(call, "done_again", {"attempt": claim.attempt})
    db.session.commit()
    _resume(call)


def _unclear(call_id: int) -> OpenCall:
    """The call, locked: of two who decide one does. Raises NotFound."""
    query = select(OpenCall).where(OpenCall.id == call_id, *UNCLEAR)
    found = db.session.execute(query).scalar_one_or_none()
    if found is not None:
        _lock(found)
        again = query.with_for_update().execution_options(populate_existing=True)
        found = db.session.execute(again).scalar_one_or_none()
    if found is None:
        raise NotFound("Somebody has decided about this already, or it was found.")
    return found
