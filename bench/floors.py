"""The least that each task costs in a Flask view, written by hand: SQLAlchemy Core, nothing checked twice.

They stand here so that they cannot drift. Each serves the same requests as the portal does.
"""

import hashlib
import hmac
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
from flask import Flask, Response, jsonify, request, session
from sqlalchemy import (
    Column,
    DateTime,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    func,
    insert,
    select,
)

from bench import requests
from bench.contestant import Contestant

metadata = MetaData()
events = Table(
    "floor_events",
    metadata,
    Column("id", String(255), primary_key=True),
    Column("type", String(100), nullable=False),
    Column("payload", Text, nullable=False),
)
users = Table("floor_users", metadata, Column("id", Integer, primary_key=True), Column("email", String(254)))
invoices = Table(
    "floor_invoices",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("user_id", Integer, index=True, nullable=False),
    Column("number", String(100)),
    Column("status", String(20)),
    Column("total", Integer),
    Column("url", Text),
    Column("created_at", DateTime(timezone=True)),
)
keys = Table(
    "floor_keys",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("customer", String(20)),
    Column("tier", String(64)),
    Column("entitlements", Text),
)

PAGE = """<!DOCTYPE html>
<html lang="en"><head><title>Billing</title><link rel="stylesheet" href="/static/portal.css"></head><body>
<p>Signed in as {{ user.email }}</p>
<table><tr><th>Number</th><th>Date</th><th>State</th><th>Amount</th><th></th></tr>
{% for row in rows %}<tr><td>{{ row.number }}</td><td>{{ row.created_at.strftime("%-d %B %Y") }}</td>
<td>{{ row.status }}</td><td>${{ "%.2f" | format(row.total / 100) }}</td>
<td><a href="{{ row.url }}">View</a> <a href="{{ row.url }}/pdf">PDF</a></td></tr>
{% endfor %}</table></body></html>"""


def _engine(url: str) -> Engine:
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def _connect(connection, _record) -> None:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")  # as the portal: durable

    metadata.create_all(engine)
    return engine


def webhook(url: str, folder: Path) -> Contestant:
    """Return the floor of a webhook: HMAC, orjson, one INSERT in one transaction."""
    app, engine = Flask(__name__), _engine(url)
    secret = requests.WEBHOOK_SECRET.encode()

    @app.post("/webhook")
    def receive() -> Response | tuple[str, int]:
        body = request.get_data()
        signed = dict(part.split("=", 1) for part in request.headers["Stripe-Signature"].split(","))
        expected = hmac.new(secret, f"{signed['t']}.".encode() + body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, signed["v1"]) or abs(time.time() - int(signed["t"])) > 300:
            return "bad signature", 400
        hint = orjson.loads(body)
        with engine.begin() as connection:
            connection.execute(insert(events), {"id": hint["id"], "type": hint["type"], "payload": body.decode()})
        return jsonify(received=True)

    def check(calls: int) -> None:
        with engine.connect() as connection:
            assert connection.scalar(select(func.count()).select_from(events)) == calls

    return Contestant(app, lambda number: requests.delivery("/webhook", number), check)


def page(url: str, folder: Path) -> Contestant:
    """A session cookie, its user, 50 rows, Jinja."""
    app, engine = Flask(__name__), _engine(url)
    app.secret_key = "only-for-the-bench"
    template = app.jinja_env.from_string(PAGE)
    now = datetime.now(UTC)
    row = {"user_id": 1, "status": "Paid", "url": "https://invoice.stripe.com/i/bench"}
    with engine.begin() as connection:
        connection.execute(insert(users), {"id": 1, "email": "alice@example.com"})
        for n in range(50):
            values = row | {"number": f"BENCH-{n:04}", "total": 4999 + n, "created_at": now - timedelta(days=n)}
            connection.execute(insert(invoices), values)

    @app.get("/billing")
    def billing() -> str:
        newest = select(invoices).where(invoices.c.user_id == session["user_id"]).order_by(invoices.c.id).limit(50)
        with engine.connect() as connection:
            user = connection.execute(select(users).where(users.c.id == session["user_id"])).one()
            return template.render(user=user, rows=connection.execute(newest).all())

    cookie = app.session_interface.get_signing_serializer(app).dumps({"user_id": 1})
    return Contestant(app, lambda number: requests.page("/billing", Cookie=f"session={cookie}"))


def entitlements(url: str, folder: Path) -> Contestant:
    """One SELECT by the key's hash, answered as JSON."""
    app, engine = Flask(__name__), _engine(url)
    facts = orjson.dumps({"api_calls": 100_000, "projects": 10, "priority_support": True}).decode()
    known = {"hash": hashlib.sha256(b"secret").hexdigest(), "customer": "1", "tier": "pro", "entitlements": facts}
    with engine.begin() as connection:
        connection.execute(insert(keys), known)

    @app.get("/entitlements")
    def current() -> Response:
        secret = request.headers["Authorization"].removeprefix("Bearer ")
        query = select(keys).where(keys.c.hash == hashlib.sha256(secret.encode()).hexdigest())
        with engine.connect() as connection:
            row = connection.execute(query).one()
        return jsonify(customer=row.customer, tier=row.tier, entitlements=orjson.loads(row.entitlements))

    return Contestant(app, lambda number: requests.page("/entitlements", Authorization="Bearer secret"))
