"""`flask moving keys`: keys that customers hold already keep working, whoever claims the account."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask
from sqlalchemy import func, select, update

from portal import clock
from portal.customers import stripe_customers
from portal.extensions import db
from portal.keys import api_keys
from portal.models import ApiKey, AuditEntry, Customer, OutboxMail, User
from tests.conftest import PASSWORD, Person
from tests.support import mailbox
from tests.support.browsing import Browser
from tests.support.world import World

OLD, OTHER = "osc_7f3Kq9XmTTc0aVbJ2LrYw5", "key_from-elsewhere.with.dots"
Write = Callable[..., Path]
Run = Callable[..., Any]


def hashed(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file of lines below this head."""

    def written(*lines: str, head: str = "customer,prefix,sha256") -> Path:
        path = tmp_path / "keys.csv"
        path.write_text("\n".join([head, *lines]) + "\n")
        return path

    return written


@pytest.fixture
def run(app: Flask) -> Run:
    """`flask moving keys …`."""

    def ran(file: Path, *words: str, fails: bool = False) -> str:
        done = app.test_cli_runner().invoke(args=["moving", "keys", str(file), *words])
        db.session.rollback()
        assert (done.exit_code != 0) is fails, done.output
        return " ".join(done.output.split())

    return ran


def ask(here: World, key: str) -> requests.Response:
    return requests.get(f"{here.base}/v1/receipt", headers={"Authorization": f"Bearer {key}"}, timeout=30)


def line(customer: str, key: str = OLD, *more: str) -> str:
    return ",".join([customer, key[:8], hashed(key), *more])


def prove(person: Person) -> str:
    person.prove()
    return person.email


def test_an_old_key_works_with_what_its_customer_pays_for(
    here: World, run: Run, write: Write, bob: Person
) -> None:
    assert ask(here, OLD).status_code == 401
    assert run(write(line(prove(bob)), line(bob.email, OTHER))) == "keys new 2"
    for key in (OLD, OTHER):
        facts = ask(here, key).json()
        assert (facts["tier"], facts["status"], facts["key"]["prefix"]) == ("pro", "active", key[:8])
    assert ask(here, OLD[:-1]).status_code == 401
    assert ask(here, hashed(OLD)).status_code == 401  # the hash is no key
    assert db.session.execute(select(OutboxMail.id).filter_by(template="api_key")).all() == []
    imported = select(AuditEntry.after).filter_by(action="key.imported").order_by(AuditEntry.id)
    said = db.session.execute(imported).scalars().all()
    assert [one["key"] for one in said] == [OLD[:8], OTHER[:8]]


def test_a_revoked_or_expired_key_ends(here: World, run: Run, write: Write, bob: Person) -> None:
    head = "customer,prefix,sha256,name,scopes,expires"
    run(write(line(prove(bob), OLD, "Server", "read usage", "2999-01-31"), head=head))
    key = db.session.execute(select(ApiKey)).scalar_one()
    assert (key.name, key.scopes, f"{key.expires_at:%Y-%m-%d %H:%M}") == (
        "Server",
        ["read", "usage"],
        "2999-01-31 23:59",
    )
    db.session.commit()  # a transaction of SQLite would make the request wait
    assert ask(here, OLD).status_code == 200
    api_keys.revoke(key)
    db.session.commit()
    assert ask(here, OLD).status_code == 401
    assert run(write(line(bob.email))) == "keys known 1"  # an import does not bring it back
    assert ask(here, OLD).status_code == 401


def test_repeating_changes_nothing(run: Run, write: Write, bob: Person, app: Flask) -> None:
    file = write(line(prove(bob)), line("erin@example.com", OTHER))
    assert run(file, "--dry-run") == "2 keys are right. Nothing was written."
    assert db.session.execute(select(ApiKey)).all() == []
    assert run(file) == "keys new 2"
    assert run(file) == "keys known 2"
    assert db.session.execute(
        select(func.count()).select_from(User).filter_by(email="erin@example.com")
    ).all() == [(1,)]


def test_a_customer_is_named_by_stripes_id_or_ours(here: World, run: Run, write: Write, bob: Person) -> None:
    customer = db.session.execute(select(Customer)).scalar_one()
    name = stripe_customers.current(customer)
    assert name is not None
    run(write(line(str(name.stripe_id)), line(str(customer.id), OTHER)))
    owners = db.session.execute(select(ApiKey.customer_id)).scalars().all()
    assert owners == [customer.id, customer.id]


def test_an_address_that_no_account_has_proven_keeps_them_for_its_owner(
    here: World, run: Run, write: Write, alice: Person
) -> None:
    run(write(line(alice.email), line(alice.email, OTHER)))
    (holder,) = db.session.execute(select(ApiKey.customer_id).distinct()).scalars()
    assert db.session.get_one(Customer, holder).user_id != alice.user_id
    db.session.commit()
    assert ask(here, OLD).status_code == 200


def claimed(here: World, email: str, **answers: str) -> tuple[str, Browser]:
    """Ask for a link, follow it and set a password; gives the page that asked."""
    browser = Browser(here)
    browser.open("/password/forgot")
    browser.press("Send the link", email=email)
    browser.open(mailbox.links(here, email, "/claim/")[-1])
    page = browser.page.text
    browser.press("Claim account", password=PASSWORD, **answers)
    return page, browser


@pytest.mark.parametrize("others", [0, 1], ids=["alone", "beside a purchase"])
def test_a_claim_never_asks_about_them_and_ends_none(
    here: World, run: Run, write: Write, visitor: Browser, others: int
) -> None:
    email = "erin@example.com"
    run(write(line(email)))
    asked = {}
    if others:
        stranger = stripe_customers.of(_unclaimed(email))
        api_keys.mint(stranger, "Of a purchase")
        db.session.commit()
        asked = {f"purchase_{user_id}": "mine" for user_id in _waiting(email)}
        asked |= {f"key_{key_id}": "end" for key_id in _made_here()}
        db.session.rollback()
    page, browser = claimed(here, email, **asked)
    assert OLD[:8] not in page
    assert len(re.findall(r'name="key_\d+"', page)) == 2 * others
    assert ask(here, OLD).status_code == 200
    browser.open("/keys")
    assert OLD[:8] in browser.text
    account = db.session.execute(select(User).where(User.password_hash.is_not(None))).scalar_one()
    assert ask(here, OLD).json()["customer"] == str(stripe_customers.of(account).id)


def _unclaimed(email: str) -> User:
    user = User(email=email, created_at=clock.now())
    db.session.add(user)
    db.session.flush()
    return user


def _waiting(email: str) -> list[int]:
    return list(db.session.execute(select(User.id).filter_by(email=email, password_hash=None)).scalars())


def _made_here() -> list[int]:
    return list(db.session.execute(select(ApiKey.id).where(ApiKey.imported_at.is_(None))).scalars())


BAD = [
    ("not-an-address", "line 2: The customer is an email address"),
    ("cus_unknown", "line 2: There is no such customer in live mode"),
    ("999999", "line 2: There is no such customer in live mode"),
]


@pytest.mark.parametrize(("customer", "said"), BAD)
def test_a_customer_that_cannot_be_is_refused(run: Run, write: Write, customer: str, said: str) -> None:
    assert said in run(write(line(customer), line("erin@example.com", OTHER)), fails=True)
    assert db.session.execute(select(ApiKey)).all() == []


def test_every_fault_of_a_file_is_named_and_nothing_is_written(run: Run, write: Write) -> None:
    email = "erin@example.com"
    said = run(
        write(
            f"{email},osc_7f3K,{hashed(OLD)}",
            f"{email},osc_7f3K,{hashed(OLD).upper()}",
            f"{email},osc_7f3K,{OTHER}",
            f"{email},short,{hashed('short')}",
            f"{email},opk_1234,{hashed('opk_123456')}",
            f"{email},,{hashed('x')}",
        ),
        fails=True,
    )
    for words in (
        "line 3: the key was in an earlier line",
        "line 4: sha256 is",
        "line 5: the prefix is the whole key",
        "line 6: keys that begin with opk_",
        "line 7: the prefix has 1 to 24 characters",
        "Nothing was written.",
    ):
        assert words in said
    assert "line 2" not in said
    assert db.session.execute(select(ApiKey)).all() == []


@pytest.mark.parametrize(
    ("head", "said"),
    [("customer,prefix", "needs a column sha256"), ("customer,prefix,sha256,expiry", "Unknown column expiry")],
)
def test_the_head_names_the_columns(run: Run, write: Write, head: str, said: str) -> None:
    assert said in run(write(head=head), fails=True)


def test_another_customers_key_is_refused(run: Run, write: Write, alice: Person, bob: Person) -> None:
    run(write(line(prove(bob))))
    assert "has this key already" in run(write(line(prove(alice))), fails=True)


def test_a_key_of_another_mode_is_of_that_mode(here: World, run: Run, write: Write, bob: Person) -> None:
    run(write(line(prove(bob))), "--mode", "test")
    assert (ask(here, OLD).json()["mode"], ask(here, OLD).json()["tier"]) == ("test", "free")
    db.session.execute(update(ApiKey).values(imported_at=None))
    db.session.commit()
    assert ask(here, OLD).status_code == 401  # only an imported key may have a form of its own
