"""Visits every page, signed in and signed out, with few rows and with many.

`python -m bench.visits DATABASE_URL FOLDER` prints what each page weighs, loads and asks of the database.
"""

import gzip
import json
import re
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, select, update
from werkzeug.routing import Rule

from bench import portal, requests
from portal import audit, clock, tokens
from portal.accounts import users
from portal.accounts.sign_in import sign_in_links
from portal.customers import stripe_customers
from portal.extensions import db, limiter
from portal.keys import api_keys
from portal.models import (
    EmailChange,
    Invoice,
    Order,
    Payment,
    StripeCustomer,
    StripeEvent,
    Subscription,
    User,
)
from portal.models.order import new_number

# What answers machines or writes files, or only leads on.
NO_PAGES = ("/api/", "/v1/", "/static/", "/healthz", "/readyz", "/metrics", "/history.csv", "/usage.csv")
NO_PAGES += ("/usage/started", "/admin/audit.csv")
ADMIN = "/admin"
ADA = "ada@example.com"
ASSET = re.compile(r'<(?:link|script|img)\b[^>]*?(?:href|src)="([^"]+)"')
ARGUMENT = re.compile(r"<(?:\w+:)?(\w+)>")

Counts = dict[str, int]
Values = dict[str, str]  # of the addresses' arguments: "proof.reset token" is one endpoint's own


class Queries:
    """Counts statements; those that only open a transaction ask nothing."""

    def __init__(self, app: Flask) -> None:
        self.count = 0
        with app.app_context():
            event.listen(db.engine, "before_cursor_execute", self._count)

    def _count(self, _connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        self.count += not statement.startswith("BEGIN")


def visit_all(app: Flask, values: Values) -> dict[str, Counts]:
    """What each page came to, by its rule and visitor: the admin's by an admin, others by Alice and by nobody."""
    queries = Queries(app)
    clients = {"signed out": app.test_client(), "signed in": _client(app, portal.EMAIL)}
    staff = {"an admin": _client(app, ADA)}
    return {
        f"{rule.rule}, {who}": counts
        for rule in _pages(app)
        for who, client in (staff if rule.rule.startswith(ADMIN) else clients).items()
        if (counts := _visit(client, _address(rule, values), queries))
    }


def _client(app: Flask, email: str) -> FlaskClient:
    client = app.test_client()
    name, _, cookie = portal.sign_in(app, email).partition("=")
    client.set_cookie(name, cookie, domain="bench.example", secure=True)
    return client


def _pages(app: Flask) -> Iterator[Rule]:
    for rule in app.url_map.iter_rules():
        if "GET" in (rule.methods or ()) and not (rule.rule.startswith(NO_PAGES) or rule.rule.endswith("/state")):
            yield rule


def _address(rule: Rule, values: Values) -> str:
    """A rule with its arguments filled in. Raises KeyError where a new page needs a value of its own."""
    path = ARGUMENT.sub(lambda found: values[f"{rule.endpoint} {found[1]}"], rule.rule)
    return path + values.get(f"{rule.endpoint} ?", "")


def _visit(client: FlaskClient, path: str, queries: Queries) -> Counts | None:
    """The page with all that it loads; None where it leads on to another."""
    limiter.reset()
    queries.count = 0
    answer = client.get(path, base_url=requests.BASE)
    asked = queries.count
    if answer.status_code in (302, 303, 404):
        return None
    assert answer.status_code == 200, f"{path} answered {answer.status_code}"
    loaded = [client.get(url, base_url=requests.BASE).data for url in sorted(set(ASSET.findall(answer.text)))]
    weight = sum(len(gzip.compress(body)) for body in (answer.data, *loaded))
    return {"weight": weight, "requests": 1 + len(loaded), "queries": asked}


def furnish() -> Values:
    """One row of everything that a page shows, and the values of the addresses' arguments. Commits."""
    user, customer, now = users.find(portal.EMAIL), portal.alice(), clock.now()
    assert user is not None
    portal.add_invoices(1)
    key, _ = api_keys.mint(customer, "first")
    order = Order(
        number=new_number(), customer_id=customer.id, mode="live", kind="plan", item="pro-monthly", name="Pro",
        tier="pro", amount=4999, currency="usd", interval="month", params={}, state="paid", paid_at=now,
        created_at=now,
    )  # fmt: skip
    credits = Order(
        number=new_number(), customer_id=customer.id, mode="live", kind="credits", item="basic", name="Credits",
        amount=4500, currency="usd", credits=5500, params={}, state="paid", session_id="cs_live_bench",
        paid_at=now, created_at=now,
    )  # fmt: skip
    change = EmailChange(user_id=user.id, new_email="alice@example.org", requested_at=now)
    buyer = User(email="buyer@example.com", created_at=now)  # unclaimed
    db.session.add_all([order, credits, change, buyer])
    db.session.flush()
    _freshen()
    holders = {purpose: buyer if purpose == "claim" else user for purpose in tokens.LIFETIMES}
    mailed = {purpose: tokens.mint(holder, purpose, timedelta(hours=1)) for purpose, holder in holders.items()}
    _, direct = sign_in_links.make(customer.id, "/billing", None)
    db.session.commit()
    return {
        "sign_in_links.follow token": direct,
        "sign_in.mail_sent kind": "reset",
        "keys.confirm_revoke key_id": str(key.id),
        "keys.confirm_rotate key_id": str(key.id),
        "success.page ?": f"?order={order.number}",
        "success.address ?": f"?order={order.number}",  # 404 for the owner: for buyers without an account alone
        "credits.success ?": f"?session_id={credits.session_id}",
        "email.approve token": mailed["email_old"],
        "email.confirm token": mailed["email_new"],
        **{f"proof.{purpose} token": token for purpose, token in mailed.items()},
        **_furnish_admin(user),
    }


def _paid(invoice: Invoice) -> Payment:
    """What paid an invoice: a charge without a payment intent, of which Stripe is not asked."""
    owner = {"customer_id": invoice.customer_id, "mode": invoice.mode, "invoice_id": invoice.stripe_id}
    money = {"kind": "subscription", "amount": invoice.total, "currency": invoice.currency, "status": "succeeded"}
    return Payment(stripe_id="py_bench", created_at=clock.now(), synced_at=clock.now(), **owner, **money)


def _furnish_admin(alice: User) -> Values:
    """An admin, and a test purchase of Alice's with its event. Commits."""
    ada = users.create(ADA, "Ada", "correct horse battery staple", role="admin")
    assert ada is not None
    ada.second_factor_at = clock.now()
    invoice = db.session.execute(select(Invoice)).scalars().first()
    assert invoice is not None
    db.session.add(_paid(invoice))
    tried = _tried(stripe_customers.of(alice, "test").id)
    db.session.add(tried)
    db.session.flush()
    heard = _event(tried, 0)
    db.session.add(heard)
    db.session.commit()
    return {
        "admin_customers.show user_id": str(alice.id),
        "admin_refunds.confirm_refund user_id": str(alice.id),
        "admin_refunds.confirm_refund ?": f"?invoice={invoice.id}",
        "admin_testing.show user_id": str(alice.id),
        "admin_testing.purchase number": tried.number,
        "admin_events.show event_id": str(heard.id),
    }


def _freshen() -> None:
    """Have the copies just compared with Stripe: a page that asks first is not what is measured. Flushes."""
    db.session.execute(update(StripeCustomer).values(asked_at=clock.now()))
    db.session.execute(update(Subscription).values(previewed_at=clock.now()))


def _tried(customer_id: int) -> Order:
    """A test purchase of credits."""
    return Order(
        number=new_number(), customer_id=customer_id, mode="test", kind="credits", item="basic", name="Credits",
        amount=4500, currency="usd", credits=5500, params={}, state="paid", session_id=f"cs_test_{new_number()}",
        paid_at=clock.now(), created_at=clock.now(), off_session=True,
    )  # fmt: skip


def _event(order: Order, number: int) -> StripeEvent:
    """One about this test purchase."""
    assert order.session_id is not None
    now = clock.now()
    return StripeEvent(
        mode="test", event_id=f"evt_bench_{number}", type="checkout.session.completed", state="processed",
        object_id=order.session_id, payload=requests.event(number).decode(), created_at=now, received_at=now,
        finished_at=now,
    )  # fmt: skip


def add_rows() -> None:
    """Many more of what lists show. Commits."""
    portal.add_invoices(49)
    tried = db.session.execute(select(Order).filter_by(mode="test")).scalar_one()
    for number in range(49):
        api_keys.mint(portal.alice(), f"key {number}")
        users.create(f"user-{number}@example.com")
        db.session.add_all([_tried(tried.customer_id), _event(tried, number + 1)])
        audit.record("bench.made", customer_id=tried.customer_id, subject=tried.number)
    db.session.commit()


if __name__ == "__main__":
    app = portal.app(sys.argv[1], Path(sys.argv[2]))
    with app.app_context():
        values = furnish()
    few = visit_all(app, values)
    with app.app_context():
        add_rows()
    json.dump({"few": few, "many": visit_all(app, values)}, sys.stdout)
