"""`flask customers import`: what a Stripe account has becomes ours; nobody gets what another pays for."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from portal import clock
from portal.customers import access, stripe_customers
from portal.extensions import db
from portal.models import (
    AuditEntry,
    Customer,
    Invoice,
    OutboxMail,
    StripeCustomer,
    StripeEvent,
    Subscription,
    User,
)
from tests.conftest import Person, person
from tests.support.clocked import mailed
from tests.support.world import World


def pays(here: World, email: str | None, lookup_key: str = "pro_monthly", **more: Any) -> str:
    """Return a customer of the account who subscribed before the portal existed."""
    stripe = here.stripe("test").v1
    made = stripe.customers.create({"email": email, **more} if email else dict(more)).id
    method = stripe.payment_methods.attach("pm_card_visa", {"customer": made}).id
    price = stripe.prices.list({"lookup_keys": [lookup_key]}).data[0].id
    terms = {"customer": made, "items": [{"price": price}], "default_payment_method": method}
    stripe.subscriptions.create(terms)
    return str(made)


def run(app: Flask, *words: str) -> str:
    db.session.commit()
    result = app.test_cli_runner().invoke(args=["customers", "import", "--mode", "test", *words])
    db.session.expire_all()
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def count(model: type) -> int:
    found: int = db.session.execute(select(func.count()).select_from(model)).scalar_one()
    db.session.commit()
    return found


def tier(email: str) -> str:
    found = select(Customer).join(User).where(User.email == email)
    customer = db.session.execute(found).scalar_one_or_none()
    return access.of(customer).tier if customer else "nobody"


@pytest.fixture
def account(here: World, app: Flask, alice: Person, charlie: Person) -> dict[str, str]:
    """Eve, who is new; Charlie, whose address is verified; Alice, whose is not; one without an address; another
    mode's; Ada. It is the test lane's: what other tests left there is little, and is removed first.
    """
    for left in here.stripe("test").v1.customers.list({"limit": 100}).data:
        here.stripe("test").v1.customers.delete(left.id)
    here.calm()
    here.deliveries(hold=True)
    known = person(here, "ada", signed_in=False)
    stripe_customers.at_stripe(stripe_customers.of(known.user, "test"))
    db.session.execute(update(User).filter_by(email="charlie@example.com").values(verified_at=clock.now()))
    db.session.commit()
    names = {
        "eve": pays(here, "Eve@Example.com"),
        "charlie": pays(here, "charlie@example.com", "starter_monthly"),
        "alice": pays(here, "alice@example.com"),
        "nobody": pays(here, None),
        "other": pays(here, "otto@example.com", metadata={"portal_mode": "live"}),
    }
    here.flush()  # all of it is parked: nobody of them is ours yet
    return names


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(app: Flask, account: dict[str, str]) -> None:
    before = [count(model) for model in (User, Customer, StripeCustomer, Subscription, AuditEntry)]
    said = run(app, "--dry-run")
    for words in ("known 1", "linked 1", "new 2", "without a mail address 1", "other mode 1"):
        assert words in said
    assert "Nothing was written." in said
    assert [count(model) for model in (User, Customer, StripeCustomer, Subscription, AuditEntry)] == before


def test_an_account_is_adopted_with_plans_invoices_and_parked_events(app: Flask, account: dict[str, str]) -> None:
    said = run(app)
    assert "subscriptions read 3" in said
    assert "subscriptions of nobody here 2" in said
    assert [tier(f"{name}@example.com") for name in ("eve", "charlie")] == ["pro", "starter"]
    eve = db.session.execute(select(User).filter_by(email="eve@example.com")).scalar_one()
    assert (eve.password_hash, eve.verified_at) == (None, None)
    name = db.session.execute(select(StripeCustomer).filter_by(stripe_id=account["eve"])).scalar_one()
    assert (name.is_current, name.email) == (True, "Eve@Example.com")
    assert db.session.execute(select(Invoice.status).filter_by(customer_id=name.customer_id)).scalars().all() == [
        "paid"
    ]
    left = select(StripeEvent.customer_ref).filter_by(state="parked").distinct()
    parked = set(db.session.execute(left).scalars())
    assert parked & {account["eve"], account["charlie"], account["alice"]} == set()
    assert "alice" not in said
    assert mailed("claim") == []


def test_an_account_that_has_not_proven_its_address_gets_nothing(
    app: Flask, account: dict[str, str], alice: Person
) -> None:
    run(app)
    name = db.session.execute(select(StripeCustomer).filter_by(stripe_id=account["alice"])).scalar_one()
    assert name.customer.user_id != alice.user_id
    assert (name.customer.user.email, name.customer.user.is_claimed) == (alice.email, False)
    assert access.of(name.customer).tier == "pro"
    assert access.of(stripe_customers.find(alice.user, "test")).tier == "free"


def test_again_it_changes_nothing(app: Flask, account: dict[str, str]) -> None:
    run(app)
    models = (User, Customer, StripeCustomer, Subscription, Invoice, AuditEntry, OutboxMail)
    before = [count(model) for model in models]
    assert "known 4" in run(app)
    assert [count(model) for model in models] == before


def test_claim_mails_only_when_asked_and_to_who_has_no_proven_account(app: Flask, account: dict[str, str]) -> None:
    run(app, "--claim-mails")
    assert sorted(mail.user.email for mail in mailed("claim")) == ["alice@example.com", "eve@example.com"]


def test_stripe_being_away_loses_nothing_that_was_done(here: World, app: Flask, account: dict[str, str]) -> None:
    here.fail(next=4, path="/v1/subscriptions", status=500)
    db.session.commit()
    result = app.test_cli_runner().invoke(args=["customers", "import", "--mode", "test"])
    here.calm()
    assert result.exit_code == 1
    assert "run it again to go on" in result.output
    assert "subscriptions read 3" in run(app)
    assert tier("eve@example.com") == "pro"
