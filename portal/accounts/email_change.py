"""Changing the mail address: asked for, approved from the old address, confirmed from the new one."""

import structlog
from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError

from portal import audit, clock, mail, tokens
from portal.accounts import people, sessions
from portal.accounts.links import LinkSpent
from portal.errors import InvalidInput
from portal.extensions import db
from portal.models import EmailChange, User
from portal.purchases import addresses

log = structlog.get_logger()

OLD, NEW = "email_old", "email_new"  # whose link it is: a token's purpose, and its mail's template
DONE_AT = {OLD: "approved_at", NEW: "confirmed_at"}


def pending(user: User) -> EmailChange | None:
    """The change that waits for its addresses."""
    return db.session.get(EmailChange, user.id)


def request(user: User, email: str) -> None:
    """Mail a link to both addresses; an earlier request is void. Flushes. Raises InvalidInput for the present one.

    An address that was never proven is not asked: it may be mistyped, and then somebody else reads its mail. An
    address that has an account gets no mail, so that the change never comes to be; the page says the same.
    """
    email = people.normalised(email)
    if email == user.email:
        raise _same_address()
    drop(user)
    now = clock.now()
    approved_at = None if user.is_proven else now
    db.session.add(EmailChange(user_id=user.id, new_email=email, requested_at=now, approved_at=approved_at))
    db.session.flush()
    if user.is_proven:
        mail.queue(user, OLD, f"{OLD}:{user.id}:{now.timestamp()}", new_email=mail.masked(email))
    if people.find(email) is None:
        mail.queue(user, NEW, f"{NEW}:{user.id}:{now.timestamp()}", to=email)
    audit.record("email.change_asked", user_id=user.id)


def of_link(raw: str, purpose: str) -> EmailChange:
    """The change that a mailed link is about, without using it up. Raises LinkSpent."""
    user = tokens.holder(raw, purpose)
    change = pending(user) if user else None
    if change is None:
        raise LinkSpent(purpose)
    return change


def accept(raw: str, purpose: str) -> bool:
    """Use one of the two links up; True where it was the second one, and the address is changed. Flushes.

    Raises LinkSpent, also where the new address has got an account meanwhile.
    """
    user = tokens.redeem(raw, purpose)
    if user is None:
        raise LinkSpent(purpose)
    note = update(EmailChange).where(EmailChange.user_id == user.id).values({DONE_AT[purpose]: clock.now()})
    change = db.session.execute(note.returning(EmailChange)).scalar_one_or_none()
    if change is None:
        raise LinkSpent(purpose)
    if change.approved_at is None or change.confirmed_at is None:
        return False
    _make(user, change.new_email)
    return True


def refuse(raw: str) -> None:
    """It was not them: no change, and whoever asked for it is signed out. Flushes. Raises LinkSpent."""
    user = tokens.redeem(raw, OLD)
    if user is None:
        raise LinkSpent(OLD)
    drop(user)
    sessions.end_all(user)
    audit.record("email.change_refused", user_id=user.id)


def drop(user: User) -> None:
    """Forget the request, its links, and what of its mails is still to be sent. Flushes."""
    end(user)
    mail.withdraw(user, OLD, NEW)


def end(user: User) -> None:
    """Forget the request and its links; a mail that is still to be sent leads nowhere. Flushes."""
    tokens.void(user, OLD, NEW)
    db.session.execute(delete(EmailChange).where(EmailChange.user_id == user.id))


def _make(user: User, email: str) -> None:
    old, was_proven = user.email, user.is_proven
    drop(user)
    tokens.void(user, "verify", "reset", "claim")  # they went to the old address
    user.email, user.verified_at = email, clock.now()
    try:
        db.session.flush()
    except IntegrityError:  # somebody else has an account with it by now
        db.session.rollback()
        raise LinkSpent(NEW) from None
    addresses.changed(user)
    if was_proven:  # else it may be a stranger's
        mail.queue(user, "email_changed", f"email_changed:{user.id}:{clock.now().timestamp()}", to=old)
    audit.record("email.changed", user_id=user.id)
    log.info("email_changed", user_id=user.id)


def _same_address() -> InvalidInput:
    words = "This is your address already."
    return InvalidInput(words, errors={"email": words})
