"""Changing the email address: requested, approved from the old address, confirmed from the new one."""

import structlog
from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError

from portal import audit, clock, mail, tokens
from portal.accounts import users
from portal.accounts.mailed_links import LinkSpent
from portal.accounts.sign_in import sessions
from portal.customers import email_sync, owners
from portal.errors import InvalidInput
from portal.extensions import db
from portal.models import EmailChange, User

log = structlog.get_logger()

OLD, NEW = "email_old", "email_new"  # which address the link went to: a token's purpose, and its mail's template
DONE_AT = {OLD: "approved_at", NEW: "confirmed_at"}


def pending(user: User) -> EmailChange | None:
    """Return the change that waits for confirmation."""
    return db.session.get(EmailChange, user.id)


def request(user: User, email: str) -> None:
    """Mail a link to both addresses; an earlier request is void. Flushes. Raises InvalidInput for the present one.

    An unverified address is not asked: it may be mistyped, and then somebody else reads its mail. An address that
    already has an account gets no mail, so the change never completes; the page says the same in both cases.
    """
    email = users.normalized(email)
    owners.hold_signed_in(user)
    if email == user.email:
        raise _same_address()
    drop(user)
    now = clock.now()
    approved_at = None if user.is_proven else now
    db.session.add(EmailChange(user_id=user.id, new_email=email, requested_at=now, approved_at=approved_at))
    db.session.flush()
    if user.is_proven:
        mail.queue(user, OLD, f"{OLD}:{user.id}:{now.timestamp()}", new_email=mail.masked(email))
    if users.find(email) is None:
        mail.queue(user, NEW, f"{NEW}:{user.id}:{now.timestamp()}", to=email)
    audit.record("email.change_asked", user_id=user.id)


def of_link(raw: str, purpose: str) -> EmailChange:
    """Return the change of a mailed link, without using the link up. Raises LinkSpent."""
    user = tokens.holder(raw, purpose)
    change = pending(user) if user else None
    if change is None:
        raise LinkSpent(purpose)
    return change


def accept(raw: str, purpose: str) -> bool:
    """Use up one of the two links. Returns True if it was the second, and the address has changed. Flushes.

    Raises LinkSpent, also if the new address has an account by now.
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
    """Refuse a change that the owner did not request, and sign its requester out. Flushes. Raises LinkSpent."""
    user = tokens.redeem(raw, OLD)
    if user is None:
        raise LinkSpent(OLD)
    drop(user)
    sessions.end_all(user)
    audit.record("email.change_refused", user_id=user.id)


def drop(user: User) -> None:
    """Delete the request, its links, and its unsent mails. Flushes."""
    end(user)
    mail.withdraw(user, OLD, NEW)


def end(user: User) -> None:
    """Delete the request and its links; unsent mails then have no working link. Flushes."""
    tokens.void(user, OLD, NEW)
    db.session.execute(delete(EmailChange).where(EmailChange.user_id == user.id))


def _make(user: User, email: str) -> None:
    old, was_proven = user.email, user.is_proven
    drop(user)
    tokens.void(user, "verify", "reset", "claim")  # they were sent to the old address
    user.email, user.verified_at = email, clock.now()
    try:
        db.session.flush()
    except IntegrityError:  # someone else has an account with it by now
        db.session.rollback()
        raise LinkSpent(NEW) from None
    email_sync.mark_changed(user)
    if was_proven:  # otherwise it may be a stranger's
        mail.queue(user, "email_changed", f"email_changed:{user.id}:{clock.now().timestamp()}", to=old)
    audit.record("email.changed", user_id=user.id)
    log.info("email_changed", user_id=user.id)


def _same_address() -> InvalidInput:
    words = "This is your address already."
    return InvalidInput(words, errors={"email": words})
