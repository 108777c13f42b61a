"""Roles: who works here. A role is given only to an account that has proven its address."""

from portal import audit, clock
from portal.accounts import fresh_start, links, passwords, people
from portal.errors import Conflict, InvalidInput
from portal.extensions import db
from portal.models import User


def make(email: str, password: str, role: str = "admin") -> None:
    """Make somebody who works here, of an existing account too, whose password is set anew. Flushes.

    The operator vouches for the address. Where the account had not proven it, somebody else may have made it: its
    sessions, keys and second factor end first. Raises InvalidInput for a bad address or password.
    """
    address = people.normalised(email)
    if not people.is_address(address):
        raise InvalidInput("This is not an email address, such as name@example.com.", errors={"email": "not one"})
    passwords.check(password, address)
    made = people.create(address, role.capitalize(), password, role=role)
    if made is not None:
        made.verified_at = clock.now()
        audit.record("role.given", user_id=made.id, after={"role": role})
        return
    user = people.named(address)
    if user.is_proven:
        people.set_password(address, password)
    else:
        fresh_start.begin_anew(user, passwords.hash(password), keep=())
        links.proven(user)
    give_role(user, role)


def give_role(user: User, role: str, reason: str = "") -> None:
    """Make somebody a customer, support or an admin, from their next request on. Flushes.

    Raises Conflict where staff would be made of an account that has not proven its address.
    """
    if role != "customer" and not user.is_proven:
        raise Conflict(
            f"{user.email} is not verified yet, so whoever signed up may not own it. Let them follow the link that"
            " was emailed to them first."
        )
    before, user.role = user.role, role
    db.session.flush()
    audit.record("role.given", user_id=user.id, before={"role": before}, after={"role": role}, reason=reason)
