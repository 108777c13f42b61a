"""Who calls the JSON API: an API key or an access token, each looked up in one statement."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import ParamSpec

from flask import g, request
from flask.typing import ResponseReturnValue
from sqlalchemy import bindparam, select, update

from portal import calls, clock, operators, rates, tokens
from portal.errors import ScopeMissing, Suspended, Unauthorised
from portal.extensions import client_network, db, write_aside
from portal.models import ApiKey, Customer, UserSession
from portal.models.key import SCOPES, TOUCH_EVERY, digest, is_well_formed

Params = ParamSpec("Params")
View = Callable[Params, ResponseReturnValue]

OFTEN = "3000/minute"  # asked with every request of a product
BAD_KEYS = "60/minute"  # of one address
TOO_MANY = 429


@dataclass(frozen=True, slots=True)
class Caller:
    """A living key or a person's access token, and the customer: each request of a product asks this."""

    customer_id: int
    user_id: int
    mode: str
    suspended_at: datetime | None
    credit_balance: int
    access_version: int
    key_id: int | None = None  # None, and with it the rest: an access token
    prefix: str = ""
    name: str = ""
    scopes: Sequence[str] = SCOPES
    last_used_at: datetime | None = None
    expires_at: datetime | None = None


# Built once, and run past the ORM: for each request it would cost more than the look-up itself.
CUSTOMER = (
    Customer.id,
    Customer.user_id,
    Customer.mode,
    Customer.suspended_at,
    Customer.credit_balance,
    Customer.access_version,
)
OF_KEY = (
    select(
        *CUSTOMER,
        ApiKey.id,
        ApiKey.prefix,
        ApiKey.name,
        ApiKey.scopes,
        ApiKey.last_used_at,
        ApiKey.expires_at,
    )
    .join(Customer, Customer.id == ApiKey.customer_id)
    .where(ApiKey.hash == bindparam("hash"), ApiKey.revoked_at.is_(None))
)
# A token sees live mode. It dies with its session: by signing out everywhere, or a new password.
OF_TOKEN = (
    select(*CUSTOMER)
    .join(UserSession, UserSession.user_id == Customer.user_id)
    .where(
        UserSession.id == bindparam("session"),
        UserSession.user_id == bindparam("user"),
        UserSession.ended_at.is_(None),
        UserSession.expires_at > bindparam("now"),
        Customer.mode == "live",
    )
)


def caller_required(
    scope: str = "read", *, limit: str = OFTEN, even_suspended: bool = False, operator: str | None = None
) -> Callable[[View[Params]], View[Params]]:
    """For JSON views: `Authorization: Bearer` with a key that has this scope or an access token, in `g.caller`.

    401 for none, an unknown, expired or revoked one; 402 where the customer is suspended (a person with a token
    may still read, and do what is `even_suspended`: see to the payment, or leave); 403 where the scope is missing;
    429 beyond `limit` calls of one customer. An operator key that has the scope `operator` is let in too, in
    `g.operator`, and `g.caller` is then not set.
    """

    def decorate(view: View[Params]) -> View[Params]:
        @wraps(view)
        def guarded(*args: Params.args, **kwargs: Params.kwargs) -> ResponseReturnValue:
            if operator and operators.is_sent():
                operators.enter(operator, limit)
                answer = view(*args, **kwargs)
                operators.touch()
                return answer
            caller = g.caller = _known_caller()
            rates.count(limit, f"{request.endpoint}:{caller.customer_id}")
            _check(caller, scope, even_suspended or scope == "read")
            answer = view(*args, **kwargs)
            _touch(caller)
            return answer

        refusals = (Unauthorised, Suspended, ScopeMissing, TOO_MANY)
        by = ("bearer", "operator") if operator else ("bearer",)
        calls.note(guarded, by=by, scope=scope, operator_scope=operator, is_counted=True, refusals=refusals)
        return guarded

    return decorate


def _known_caller() -> Caller:
    """The caller; who comes without a good key again and again is told to wait (429)."""
    try:
        return authenticate(request.headers.get("Authorization", ""))
    except Unauthorised:
        rates.count(BAD_KEYS, f"bad-key:{client_network()}")
        raise


def authenticate(header: str) -> Caller:
    """Whose living key or access token an Authorization header carries. Raises Unauthorised."""
    scheme, _, secret = header.partition(" ")
    secret = secret.strip()
    if scheme.lower() != "bearer":
        raise Unauthorised("Send a key or an access token as `Authorization: Bearer KEY`.")
    caller = _of_key(secret) if secret.startswith("key_") else _of_token(secret)
    if caller is None:
        raise Unauthorised("This API key or access token is unknown, expired or revoked.")
    return caller


def _of_key(secret: str) -> Caller | None:
    if not is_well_formed(secret):
        return None
    row = db.session.connection().execute(OF_KEY, {"hash": digest(secret)}).one_or_none()
    caller = row and Caller(*row)
    return None if caller is None or (caller.expires_at and caller.expires_at <= clock.now()) else caller


def _of_token(token: str) -> Caller | None:
    claims = tokens.claims(token, "access")
    if claims is None:
        return None
    ids = {"user": claims.user_id, "session": claims.session_id, "now": clock.now()}
    row = db.session.connection().execute(OF_TOKEN, ids).one_or_none()
    return row and Caller(*row)


def _check(caller: Caller, scope: str, even_suspended: bool) -> None:
    """Raise what keeps this caller from a call of this scope."""
    if caller.suspended_at is not None and (caller.key_id or not even_suspended):
        raise Suspended("This account is suspended. The usage page says why, and what lifts it.")
    if scope not in caller.scopes:
        raise ScopeMissing(scope)


def customer() -> Customer:
    """The caller's customer."""
    found = db.session.get(Customer, g.caller.customer_id)
    assert found is not None
    return found


def _touch(caller: Caller) -> None:
    """Note the key's use, to the minute."""
    now = clock.now()
    if caller.key_id is None or (caller.last_used_at and now - caller.last_used_at < TOUCH_EVERY):
        return
    write_aside(update(ApiKey).where(ApiKey.id == caller.key_id).values(last_used_at=now))
