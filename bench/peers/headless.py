"""flask-headless-payments as its own documentation sets it up, fed the same deliveries."""

from pathlib import Path

from flask import Flask
from flask_headless_payments import PaymentSvc
from flask_headless_payments.mixins import SubscriptionMixin
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event, text

from bench import requests
from bench.contestant import Contestant

db = SQLAlchemy()


class User(db.Model, SubscriptionMixin):
    """The user model that the package asks its host for."""

    __tablename__ = "users"
    id = db.Column(db.Integer, primary_key=True)
    email = db.Column(db.String(255), unique=True)


def webhook(url: str, folder: Path) -> Contestant:
    """Its webhook route: a user row, a webhook row and a history row an event."""
    app = Flask(__name__)
    app.config.update(
        SQLALCHEMY_DATABASE_URI=url,
        STRIPE_API_KEY="sk_test_onlyForTheBench",
        STRIPE_WEBHOOK_SECRET=requests.WEBHOOK_SECRET,
        JWT_SECRET_KEY="only-for-the-bench-0123456789abcdef",
    )
    db.init_app(app)
    payments = PaymentSvc(user_model=User)
    with app.app_context():
        _sync_commits(url)
        payments.init_app(app, plans={})
        db.create_all()
        db.session.add(User(email="alice@example.com", stripe_customer_id=requests.SUBSCRIPTION["customer"]["id"]))
        db.session.commit()

    def check(calls: int) -> None:
        with app.app_context():
            query = text(f"SELECT count(*) FROM {payments.webhook_event_model.__tablename__} WHERE processed")
            assert db.session.execute(query).scalar_one() == calls, "an event was lost or doubled"

    return Contestant(app, lambda number: requests.delivery("/api/payments/webhook", number), check)


def _sync_commits(url: str) -> None:
    """SQLite as durable, and as fast, as everybody else's here."""
    if url.startswith("sqlite"):

        @event.listens_for(db.engine, "connect")
        def _connect(connection, _record) -> None:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
