"""Staff roles. A role is granted only to an account with a verified address."""

from portal import audit, clock
from portal.accounts import mailed_links, users
from portal.accounts.ownership import fresh_start
from portal.accounts.security import passwords
from portal.errors import Conflict, InvalidInput
from portal.extensions import db
from portal.models import User


def make(email: str, password: str, role: str = "admin") -> None:
    """Create a staff user, or make an existing account one and reset its password. Flushes.

    The operator vouches for the address. If the account had not verified it, someone else may have created the
    account: its sessions, keys and second factor end first. Raises InvalidInput for an invalid address or weak
    password.
    """
    address = users.normalized(email)
    if not users.is_address(address):
        raise InvalidInput("This is not an email address, such as name@example.com.", errors={"email": "not one"})
    passwords.check(password, address)
    made = users.create(address, role.capitalize(), password, role=role)
    if made is not None:
        made.verified_at = clock.now()
        audit.record("role.given", user_id=made.id, after={"role": role})
        return
    user = users.named(address)
    if user.is_proven:
        users.set_password(address, password)
    else:
        fresh_start.begin_anew(user, passwords.hash(password), keep=())
        mailed_links.proven(user)
    give_role(user, role)


def give_role(user: User, role: str) -> None:
    """Change a user's role to customer, support or admin, from their next request on. Flushes.

    Raises Conflict for a staff role on an account without a verified address.
    """
    if role != "customer" and not user.is_proven:
        raise Conflict(
            f"{user.email} is not verified yet, so whoever signed up may not own it. Let them follow the link that"
            " was emailed to them first."
        )
    before, user.role = user.role, role
    db.session.flush()
    audit.record("role.given", user_id=user.id, before={"role": before}, after={"role": role})
