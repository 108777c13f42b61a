"""Visits every page that has an address, signed in and signed out, with few rows and with many.

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
from sqlalchemy import event
from werkzeug.routing import Rule

from bench import portal, requests
from portal import clock, tokens
from portal.accounts import people
from portal.extensions import db, limiter
from portal.keys import minting
from portal.models import Purchase
from portal.models.purchase import new_number

# What answers machines, or only leads on.
NO_PAGES = ("/api/", "/v1/", "/static/", "/healthz", "/readyz", "/metrics", "/history.csv")
NO_PAGES += ("/billing/success/state", "/credits/success/state")
ASSET = re.compile(r'<(?:link|script|img)\b[^>]*?(?:href|src)="([^"]+)"')
ARGUMENT = re.compile(r"<(?:\w+:)?(\w+)>")

Counts = dict[str, int]
Values = dict[str, str]  # of the addresses' arguments: "accounts.reset token" is one endpoint's own


class Queries:
    """Counts statements; those that only open a transaction ask nothing."""

    def __init__(self, app: Flask) -> None:
        self.count = 0
        with app.app_context():
            event.listen(db.engine, "before_cursor_execute", self._count)

    def _count(self, _connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        self.count += not statement.startswith("BEGIN")


def visit_all(app: Flask, values: Values) -> dict[str, Counts]:
    """What each page came to, by its rule and visitor."""
    queries = Queries(app)
    clients = {"signed out": app.test_client(), "signed in": app.test_client()}
    name, _, cookie = portal.sign_in(app).partition("=")
    clients["signed in"].set_cookie(name, cookie, domain="bench.example", secure=True)
    return {
        f"{rule.rule}, {who}": counts
        for rule in _pages(app)
        for who, client in clients.items()
        if (counts := _visit(client, _address(rule, values), queries))
    }


def _pages(app: Flask) -> Iterator[Rule]:
    for rule in app.url_map.iter_rules():
        if "GET" in (rule.methods or ()) and not rule.rule.startswith(NO_PAGES):
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
    user, customer, now = people.find(portal.EMAIL), portal.alice(), clock.now()
    assert user is not None
    portal.add_invoices(1)
    key, _ = minting.mint(customer, "first")
    order = Purchase(
        number=new_number(), customer_id=customer.id, mode="live", kind="plan", item="pro-monthly", name="Pro",
        tier="pro", amount=4999, currency="usd", interval="month", params={}, state="paid", paid_at=now,
        created_at=now,
    )  # fmt: skip
    credits = Purchase(
        number=new_number(), customer_id=customer.id, mode="live", kind="credits", item="basic", name="Credits",
        amount=4500, currency="usd", credits=5500, params={}, state="paid", session_id="cs_live_bench",
        paid_at=now, created_at=now,
    )  # fmt: skip
    db.session.add_all([order, credits])
    mailed = {purpose: tokens.mint(user, purpose, timedelta(hours=1)) for purpose in tokens.LIFETIMES}
    db.session.commit()
    return {
        "accounts.mail_sent kind": "reset",
        "keys.confirm_revoke key_id": str(key.id),
        "success.page ?": f"?order={order.number}",
        "credits.success ?": f"?session_id={credits.session_id}",
        **{f"accounts.{purpose} token": token for purpose, token in mailed.items()},
    }


def add_rows() -> None:
    """Many more of what lists show. Commits."""
    portal.add_invoices(49)
    for number in range(49):
        minting.mint(portal.alice(), f"key {number}")
    db.session.commit()


if __name__ == "__main__":
    app = portal.app(sys.argv[1], Path(sys.argv[2]))
    with app.app_context():
        values = furnish()
    few = visit_all(app, values)
    with app.app_context():
        add_rows()
    json.dump({"few": few, "many": visit_all(app, values)}, sys.stdout)
