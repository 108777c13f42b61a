"""Who calls the JSON API: an API key, looked up by its hash in one statement."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from typing import ParamSpec

from flask import g, request
from flask.typing import ResponseReturnValue
from sqlalchemy import bindparam, select, update

from portal import clock
from portal.errors import Suspended, Unauthorised
from portal.extensions import db, limiter, write_aside
from portal.models import ApiKey, Customer
from portal.models.key import digest, is_well_formed

Params = ParamSpec("Params")

BAD_KEYS = "60/minute"  # of one address
TOUCH_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Caller:
    """A living key and its customer, as columns: this is asked on every request of a product."""

    key_id: int
    prefix: str
    name: str
    last_used_at: datetime | None
    expires_at: datetime | None
    customer_id: int
    user_id: int
    mode: str
    suspended_at: datetime | None
    credit_balance: int
    access_version: int


# Built once, and run past the ORM: for each request it would cost more than the look-up itself.
CALLER = (
    select(
        ApiKey.id,
        ApiKey.prefix,
        ApiKey.name,
        ApiKey.last_used_at,
        ApiKey.expires_at,
        Customer.id,
        Customer.user_id,
        Customer.mode,
        Customer.suspended_at,
        Customer.credit_balance,
        Customer.access_version,
    )
    .join(Customer, Customer.id == ApiKey.customer_id)
    .where(ApiKey.hash == bindparam("hash"), ApiKey.revoked_at.is_(None))
)


def api_key_required(view: Callable[Params, ResponseReturnValue]) -> Callable[Params, ResponseReturnValue]:
    """For JSON views that a customer's own servers call: `Authorization: Bearer KEY`, kept in `g.caller`.

    401 for no key, an unknown, expired or revoked one; 402 where the customer is suspended.
    """

    @wraps(view)
    def guarded(*args: Params.args, **kwargs: Params.kwargs) -> ResponseReturnValue:
        caller = g.caller = _known_caller()
        if caller.suspended_at is not None:
            raise Suspended("This account is suspended. Add a payment method on the billing page to lift it.")
        answer = view(*args, **kwargs)
        _touch(caller)
        return answer

    return guarded


def _known_caller() -> Caller:
    """The caller; who comes without a good key again and again is told to wait (429)."""
    try:
        return authenticate(request.headers.get("Authorization", ""))
    except Unauthorised:
        with limiter.limit(BAD_KEYS):
            raise


def authenticate(header: str) -> Caller:
    """The living key that an Authorization header carries. Raises Unauthorised."""
    scheme, _, secret = header.partition(" ")
    secret = secret.strip()
    if scheme.lower() != "bearer" or not is_well_formed(secret):
        raise Unauthorised("Send your API key as `Authorization: Bearer KEY`.")
    row = db.session.connection().execute(CALLER, {"hash": digest(secret)}).one_or_none()
    caller = row and Caller(*row)
    if caller is None or (caller.expires_at and caller.expires_at <= clock.now()):
        raise Unauthorised("This API key is unknown, expired or revoked.")
    return caller


def customer() -> Customer:
    """The caller's customer."""
    found = db.session.get(Customer, g.caller.customer_id)
    assert found is not None
    return found


def key() -> str:
    """The limiter's key of a caller."""
    return f"customer:{g.caller.customer_id}"


def _touch(caller: Caller) -> None:
    """Note the key's use, to the minute."""
    now = clock.now()
    if caller.last_used_at and now - caller.last_used_at < TOUCH_EVERY:
        return
    write_aside(update(ApiKey).where(ApiKey.id == caller.key_id).values(last_used_at=now))
