"""Links that sign in once, from the operator's own service to the portal's pages.

The service has authenticated the customer. The page asks for a click, so that neither a scanner nor another site's
redirect signs anyone in. A link never opens a staff account, verifies no email, and replaces neither a repeated
password nor the second factor.
"""

import secrets
from datetime import timedelta

import structlog
from sqlalchemy import select, update

from portal import audit, clock, jobs, tokens
from portal.accounts.sign_in import redirects
from portal.errors import Conflict, InvalidInput, NotFound, PortalError
from portal.extensions import db, rows_changed
from portal.models import Customer, SignInLink, User

log = structlog.get_logger()

LIFETIME = timedelta(minutes=5)
KEPT = timedelta(days=1)  # after which nobody asks whether it was used


class SignInLinkSpent(PortalError):
    """The link is unknown, expired, or already used."""

    status = 410
    code = "link_spent"
    title = "This link no longer works"

    def __init__(self) -> None:
        minutes = int(LIFETIME.total_seconds()) // 60
        words = f"It works once, for {minutes} minutes. Go back to where you came from and open it again."
        super().__init__(words, action=("/login", "Sign in"))


def make(customer_id: int, wanted: str, operator_key_id: int | None) -> tuple[SignInLink, str]:
    """Return a new link to a customer's account and its token, which exists nowhere else. Flushes.

    `wanted` is the local path to redirect to. Raises NotFound; Conflict for a staff or unclaimed account;
    InvalidInput for a URL of another site.
    """
    customer = db.session.get(Customer, customer_id)
    if customer is None or customer.user.deleted_at is not None:
        raise NotFound("There is no customer with this id.")
    user = customer.user
    if user.role != "customer":
        raise Conflict("Accounts of staff sign in by themselves alone.")
    if not user.is_claimed:
        raise Conflict("Nobody has claimed this account yet. The link that we emailed its buyer does so.")
    path = redirects.local_path(wanted, "")
    if not path:
        raise InvalidInput("Name a path of this portal.", errors={"next": "not a path such as /billing"})
    raw, now = secrets.token_urlsafe(32), clock.now()
    link = SignInLink(
        user=user,
        operator_key_id=operator_key_id,
        token_hash=tokens.digest(raw),
        next=path,
        created_at=now,
        expires_at=now + LIFETIME,
    )
    db.session.add(link)
    db.session.flush()
    audit.record("sign_in_link.made", user_id=user.id, subject=str(link.id))
    log.info("sign_in_link_made", user_id=user.id, link=link.id)
    return link, raw


def holder(raw: str) -> SignInLink:
    """Return the valid link of this token, without using it up. Raises SignInLinkSpent."""
    query = select(SignInLink).where(SignInLink.token_hash == tokens.digest(raw))
    link = db.session.execute(query).scalar_one_or_none()
    if link is None or link.used_at is not None or link.expires_at <= clock.now() or not _may(link.user):
        raise SignInLinkSpent
    return link


def redeem(raw: str) -> SignInLink:
    """Use a link up; of two concurrent uses one succeeds. Flushes. Raises SignInLinkSpent."""
    link = holder(raw)
    db.session.execute(select(User.id).where(User.id == link.user_id).with_for_update(key_share=True))
    unused = (SignInLink.id == link.id, SignInLink.used_at.is_(None))
    if not rows_changed(update(SignInLink).where(*unused).values(used_at=clock.now())):
        raise SignInLinkSpent
    audit.record("sign_in_link.used", user_id=link.user_id, subject=str(link.id))
    return link


def sweep() -> int:
    """Delete old links, and return how many. Commits."""
    return jobs.delete_due((SignInLink.id,), SignInLink.expires_at, clock.now() - KEPT)


def _may(user: User) -> bool:
    return user.deleted_at is None and user.role == "customer" and user.is_claimed
