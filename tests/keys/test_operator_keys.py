"""Operator keys: created, listed and revoked only on the command line, and the calls that they allow."""

import re
from datetime import timedelta
from typing import Any

import pytest
import requests
from sqlalchemy import select

from portal import clock
from portal.customers import stripe_customers
from portal.extensions import db
from portal.keys import api_keys
from portal.models import AuditEntry, Customer, OperatorKey, User
from portal.models.key import OPERATOR_SCOPES, digest, is_well_formed, new_secret
from tests.conftest import PASSWORD, Person
from tests.support.looking import everything_stored, one
from tests.support.operators import ask, operator_key
from tests.support.world import World

CUSTOMERS = "/api/v1/customers"


def run(here: World, *words: str) -> Any:
    return here.app.test_cli_runner().invoke(args=["operator-keys", *words])


def customer_id(here: World, person: Person, mode: str = "live") -> int:
    with here.app.app_context():
        found = stripe_customers.of(person.user, mode).id
        db.session.commit()
        db.session.remove()
    return found


def refused(answer: requests.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_key_is_printed_once_and_kept_as_a_hash(here: World) -> None:
    done = run(here, "create", "Gateway", "--scope", "usage:report", "--scope", "customers:read")
    assert done.exit_code == 0, done.output
    secret = done.stdout.strip()
    assert re.fullmatch(r"opk_\w{49}", secret)
    assert is_well_formed(secret)
    with here.app.app_context():
        row = db.session.execute(select(OperatorKey)).scalar_one()
        assert (row.hash, row.scopes) == (digest(secret), ["usage:report", "customers:read"])
        made = db.session.execute(select(AuditEntry).filter_by(action="operator_key.made")).scalar_one()
        assert (made.actor, made.subject, made.after["scopes"]) == ("command", str(row.id), row.scopes)
    assert secret not in everything_stored(here)
    listed = run(here, "list").output
    assert secret not in listed
    assert secret[:12] in listed
    assert "active" in listed


def test_bad_keys_are_not_made(here: World) -> None:
    for words in (
        ("Gateway",),
        ("Gateway", "--scope", "everything"),
        (" ", "--scope", "customers:read"),
        ("x" * 101, "--scope", "customers:read"),
        ("Gateway", "--scope", "customers:read", "--expires", "2020-01-01"),
    ):
        assert run(here, "create", *words).exit_code != 0, words
    assert run(here, "revoke", "1").exit_code == 1
    assert "no operator keys" in run(here, "list").output


def test_two_keys_side_by_side_are_the_rotation(here: World, alice: Person) -> None:
    path = f"{CUSTOMERS}/{customer_id(here, alice)}"
    old, new = (operator_key(here, "customers:read") for _ in range(2))
    assert [ask(here, "GET", path, key).status_code for key in (old, new)] == [200, 200]
    first = one(here, select(OperatorKey.id).filter_by(hash=digest(old)))
    for _ in range(2):
        assert run(here, "revoke", str(first)).exit_code == 0
    refused(ask(here, "GET", path, old), 401, "unauthorised")
    assert ask(here, "GET", path, new).status_code == 200
    assert len(one(here, select(OperatorKey).filter_by(hash=digest(new))).scopes) == 1
    with here.app.app_context():
        query = select(AuditEntry.action).where(AuditEntry.action.startswith("operator_key."))
        assert sorted(db.session.execute(query).scalars()) == ["operator_key.made"] * 2 + ["operator_key.revoked"]


@pytest.mark.parametrize(("left", "status"), [(timedelta(minutes=1), 200), (timedelta(0), 401)])
def test_a_key_ends_when_it_expires(here: World, alice: Person, left: timedelta, status: int) -> None:
    path = f"{CUSTOMERS}/{customer_id(here, alice)}"
    key = operator_key(here, "customers:read", expires_at=clock.now() + timedelta(minutes=5))
    with here.app.app_context():
        db.session.execute(select(OperatorKey)).scalar_one().expires_at = clock.now() + left
        db.session.commit()
    assert ask(here, "GET", path, key).status_code == status


def test_only_an_operator_key_with_the_scope_opens_a_call(here: World, bob: Person, ada: Person) -> None:
    """Neither a customer's key, nor an access token, nor the admin's own, nor a key for something else."""
    path = f"{CUSTOMERS}/{customer_id(here, bob)}"
    with here.app.app_context():
        _, mine = api_keys.mint(stripe_customers.of(bob.user), "Everything")
        db.session.commit()
    sent = {"email": ada.email, "password": PASSWORD}
    token = requests.post(f"{here.base}/api/auth/token", json=sent, timeout=30).json()["access_token"]
    for secret in (mine, token, new_secret("opk_"), operator_key(here, "customers:read")[:-1], "opk_", "opk_ü"):
        refused(ask(here, "GET", path, secret.encode().decode("latin-1")), 401, "unauthorised")
    refused(requests.get(here.base + path, timeout=30), 401, "unauthorised")
    assert ada.browser.open(path).status_code == 401
    others = [scope for scope in OPERATOR_SCOPES if scope != "customers:read"]
    refused(ask(here, "GET", path, operator_key(here, *others)), 403, "scope_missing")
    assert ask(here, "GET", path, operator_key(here, *OPERATOR_SCOPES)).status_code == 200


def test_an_operator_key_is_no_customer_s_key(here: World) -> None:
    key = operator_key(here, *OPERATOR_SCOPES)
    for path in ("/v1/receipt", "/api/v1/entitlements", "/api/credits/balance", "/api/v1/billing/subscription"):
        refused(ask(here, "GET", path, key), 401, "unauthorised")
    refused(
        ask(here, "POST", "/api/credits/spend", key, json={"amount": 1, "reference": "a"}), 401, "unauthorised"
    )


def test_a_customer_is_found_by_id_and_by_email(here: World, bob: Person) -> None:
    key, live = operator_key(here, "customers:read"), customer_id(here, bob)
    test = customer_id(here, bob, "test")
    found = ask(here, "GET", f"{CUSTOMERS}/{live}", key).json()
    assert (found["customer"], found["mode"], found["tier"], found["status"]) == (
        str(live),
        "live",
        "pro",
        "active",
    )
    assert (found["email"], found["email_verified"], found["credits"]) == (bob.email, False, 0)
    assert found["stripe_customer"].startswith("cus_")
    listed = ask(here, "GET", f"{CUSTOMERS}?email=BOB@example.com", key).json()["data"]
    assert listed[0] == found
    assert [(row["customer"], row["tier"]) for row in listed] == [(str(live), "pro"), (str(test), "free")]
    assert ask(here, "GET", f"{CUSTOMERS}?email=nobody@example.com", key).json() == {"data": []}
    for unknown in (live + 1000, 2**63, 10**40):
        refused(ask(here, "GET", f"{CUSTOMERS}/{unknown}", key), 404, "not_found")
    refused(ask(here, "GET", CUSTOMERS, key), 400, "invalid_input")
    assert ask(here, "GET", f"{CUSTOMERS}/-1", key).status_code == 404


def test_who_deleted_their_account_is_found_no_more(here: World, alice: Person) -> None:
    key, gone = operator_key(here, "customers:read"), customer_id(here, alice)
    with here.app.app_context():
        db.session.execute(
            select(User).join(Customer).where(Customer.id == gone)
        ).scalar_one().deleted_at = clock.now()
        db.session.commit()
    refused(ask(here, "GET", f"{CUSTOMERS}/{gone}", key), 404, "not_found")
    assert ask(here, "GET", f"{CUSTOMERS}?email={alice.email}", key).json() == {"data": []}


def test_use_is_noted_to_the_minute(here: World) -> None:
    key = operator_key(here, "customers:read")
    ask(here, "GET", f"{CUSTOMERS}/1", key)
    assert one(here, select(OperatorKey.last_used_at)) is None  # a refusal is no use
    ask(here, "GET", f"{CUSTOMERS}?email=nobody@example.com", key)
    first = one(here, select(OperatorKey.last_used_at))
    ask(here, "GET", f"{CUSTOMERS}?email=nobody@example.com", key)
    assert one(here, select(OperatorKey.last_used_at)) == first
    assert abs(clock.now() - first) < timedelta(seconds=30)
