"""Exporting data and deleting the account: here immediately, at Stripe as soon as it responds."""

import csv
import io
import json
import zipfile
from typing import Any

import orjson
import pytest
from sqlalchemy import select, text, update

from portal import clock, mail
from portal.accounts.personal_data import deletion
from portal.accounts.personal_data import export as exporting
from portal.credits import ledger
from portal.extensions import db
from portal.models import (
    ApiKey,
    AuditEntry,
    CreditEntry,
    Customer,
    Invoice,
    Order,
    StripeCustomer,
    StripeEvent,
    Subscription,
    UsageDay,
    User,
)
from portal.webhooks import masking, replays
from tests.conftest import PASSWORD, Person, person
from tests.support.browsing import Browser
from tests.support.looking import everything_stored
from tests.support.world import World


@pytest.fixture
def alice(here: World) -> Person:
    """The cast's Alice, not this folder's."""
    return person(here, "alice")


def export(person: Person) -> dict[str, bytes]:
    """Return the files of the exported zip."""
    person.browser.open("/account")
    answer = person.browser.press("Export my data")
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="portal-')
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def leave(browser: Browser, password: str = PASSWORD) -> int:
    browser.open("/account/delete")
    return browser.press("Delete account", password=password).status_code


def test_the_export_holds_everything_and_nothing_that_opens_anything(
    here: World, bob: Person, alice: Person
) -> None:
    key = bob.browser.reveal()
    with here.app.app_context():
        customer = db.session.execute(select(Customer)).scalar_one()
        ledger.post(customer.id, 500, "adjustment", "one", description="=HYPERLINK(evil)")
        hashes = db.session.execute(
            text("SELECT password_hash FROM users UNION SELECT hash FROM api_keys")
        ).scalars()
        secrets = [key, *hashes]
        db.session.commit()
    files = export(bob)
    assert set(files) == {"account.json", "ledger.csv", "invoices.csv"}
    data: dict[str, Any] = json.loads(files["account.json"])
    assert data["users"][0]["email"] == "bob@example.com"
    for table in (
        "customers",
        "subscriptions",
        "orders",
        "invoices",
        "api_keys",
        "user_sessions",
        "audit_entries",
    ):
        assert data[table], table
    assert data["credit_entries"][0]["amount"] == 500
    (line,) = csv.DictReader(io.StringIO(files["ledger.csv"].decode()))
    assert (line["amount"], line["description"]) == ("500", "'=HYPERLINK(evil)")
    (invoice,) = csv.DictReader(io.StringIO(files["invoices.csv"].decode()))
    assert invoice["total"] == "4999"
    everything = b"".join(files.values()).decode()
    assert not [secret for secret in secrets if secret in everything]
    assert "alice" not in everything
    assert json.loads(export(alice)["account.json"])["users"][0]["email"] == "alice@example.com"


@pytest.mark.both_databases
def test_a_large_ledger_goes_out_in_pieces_and_holds_no_lock(here: World, bob: Person) -> None:
    with here.app.app_context():
        customer = db.session.execute(select(Customer)).scalar_one()
        row = {
            "customer_id": customer.id,
            "amount": 1,
            "reason": "adjustment",
            "description": "",
            "created_at": clock.now(),
        }
        many = [row | {"reference": str(number), "balance_after": number + 1} for number in range(3000)]
        db.session.execute(CreditEntry.__table__.insert(), many)
        db.session.commit()
        pieces = exporting.pieces(bob.user_id)
        begun = next(pieces)
        with db.engine.begin() as other:
            other.execute(update(User.__table__).values(name="Robert"))
        whole = begun + b"".join(pieces)
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert archive.read("ledger.csv").count(b"\n") == 3001
        assert len(orjson.loads(archive.read("account.json"))["credit_entries"]) == 3000


def test_a_deleted_account_is_nobody_s_and_its_subscription_ends_at_stripe(here: World, bob: Person) -> None:
    key = bob.browser.reveal()
    assert leave(bob.browser, "wrong") == 400
    assert leave(bob.browser) == 200
    assert "Your account is deleted" in bob.browser.text
    assert bob.browser.receipt(key).status_code == 401
    assert "/login" in bob.browser.open("/account").url
    bob.browser.open("/login")
    assert bob.browser.press("Sign in", email="bob@example.com", password=PASSWORD).status_code == 401
    here.flush()
    with here.app.app_context():
        user = db.session.execute(select(User)).scalar_one()
        assert (user.email, user.name, user.password_hash) == (f"deleted-{user.id}@invalid", "", None)
        assert db.session.execute(select(Subscription.status)).scalar_one() == "canceled"
        name = db.session.execute(select(StripeCustomer)).scalar_one()
        assert (name.email, name.is_current, bool(name.deleted_at)) == ("", False, True)
        assert db.session.execute(select(Invoice)).scalar_one().total == 4999
        assert db.session.execute(select(ApiKey.revoked_at)).scalar_one()
        assert (
            db.session.execute(select(AuditEntry).filter_by(action="account.deleted")).scalar_one().user_id
            == user.id
        )
        mail.send_due()
    assert "bob@example.com" not in everything_stored(here, but="stripe_events")
    assert here.stripe().v1.customers.retrieve(str(name.stripe_id)).deleted


def test_what_events_said_of_them_is_masked_some_days_later(here: World, bob: Person) -> None:
    leave(bob.browser)
    here.flush()
    with here.app.app_context():
        mail.send_due()
        assert masking.erase() == 0
        assert "bob@example.com" in everything_stored(here)
        db.session.execute(update(User).values(deleted_at=clock.now() - masking.ERASED_AFTER))
        db.session.commit()
        assert [masking.erase(), masking.erase()] == [1, 0]
        events = db.session.execute(select(StripeEvent)).scalars().all()
        assert {replays.replay(event) for event in events} <= {"processed", "ignored", "parked"}
    assert "bob@example.com" not in everything_stored(here)


def test_stripe_being_away_keeps_nobody_and_the_tick_finishes(here: World, bob: Person) -> None:
    here.fail(next=100, status=500)
    assert leave(bob.browser) == 200
    with here.app.app_context():
        assert db.session.execute(select(User.deleted_at)).scalar_one()
        assert db.session.execute(select(Subscription.status)).scalar_one() == "active"
        db.session.rollback()
        assert deletion.finish() == 0
        here.calm()
        assert [deletion.finish(), deletion.finish()] == [1, 0]
        assert db.session.execute(select(Subscription.status)).scalar_one() == "canceled"


def test_a_checkout_left_open_cannot_be_paid_afterwards(here: World, alice: Person) -> None:
    alice.browser.choose("pro-monthly")
    checkout = alice.browser.page.url
    assert leave(alice.browser) == 200
    assert "expired" in Browser(here).open(checkout).text.lower()
    with here.app.app_context():
        order = db.session.execute(select(Order)).scalar_one()
        assert (order.state, order.params) == ("expired", {})


def test_the_address_of_a_deleted_account_can_sign_up_anew(here: World, alice: Person, visitor: Browser) -> None:
    assert leave(alice.browser) == 200
    visitor.open("/signup")
    assert visitor.press("Create account", email="alice@example.com", password=PASSWORD).status_code == 200
    assert "alice@example.com" in visitor.open("/account").text


def test_money_on_its_way_keeps_an_account(here: World, bob: Person, ada: Person) -> None:
    def refusal(**changes: Any) -> str:
        with here.app.app_context():
            db.session.execute(update(Order).values(**changes))
            db.session.commit()
        answer = bob.browser.open("/account/delete")
        assert answer.status_code == 409
        return bob.browser.text

    assert "on its way" in refusal(state="open")
    with here.app.app_context():
        customer = db.session.execute(select(Customer)).scalar_one()
        meter = db.session.execute(text("SELECT min(id) FROM meters")).scalar_one()
        today = clock.now().date()
        month = today.year * 100 + today.month
        db.session.add(UsageDay(customer_id=customer.id, month=month, meter_id=meter, day=today, units=1, nanos=0))
        db.session.commit()
    assert "not billed yet" in refusal(state="paid")
    ada.browser.open("/account/delete")
    assert "You work here" in ada.browser.text
