"""What holds on every page that a browser gets to see: its policy, its size, its forms, its questions."""

import gzip
import re
from datetime import timedelta

import pytest
from sqlalchemy import insert, select

from portal import clock
from portal.extensions import db
from portal.keys import api_keys
from portal.models import Customer, Invoice, Order
from tests.conftest import Person
from tests.support.addresses import pages, rules
from tests.support.browsing import Browser
from tests.support.looking import counted
from tests.support.world import World

pytestmark = pytest.mark.both_databases

MOST_BYTES = 40 * 1024  # gzipped
MOST_QUERIES = 6
# What a plan includes, and the business figures, are read by queries of their own.
MOST_OF = {"/billing": 9, "/usage": 8, "/usage.csv": 7, "/admin": 7, "/metrics": 12}  # the last once in 15 s
MANY = 50


@pytest.fixture(params=["a visitor", "alice", "bob", "ada"])
def reader(request: pytest.FixtureRequest) -> Browser:
    """A visitor, a user who has nothing yet, one who has bought, and the admin."""
    if request.param == "a visitor":
        return request.getfixturevalue("visitor")
    return request.getfixturevalue(request.param).browser


INLINE = re.compile(r"<style|<script(?![^>]*\bsrc=)|\sstyle\s*=|\son[a-z]+\s*=|javascript:", re.IGNORECASE)


def test_every_page_keeps_to_the_policy_and_is_small(here: World, reader: Browser) -> None:
    seen = 0
    for page in pages(here, reader):
        policy = page.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'"), page.url
        assert "unsafe" not in policy, page.url
        assert page.headers["X-Content-Type-Options"] == "nosniff", page.url
        assert page.headers["Cache-Control"] == "no-store", page.url
        assert page.headers["Referrer-Policy"] in ("same-origin", "no-referrer"), page.url
        assert not INLINE.search(page.text), (page.url, INLINE.findall(page.text))
        assert len(gzip.compress(page.content)) <= MOST_BYTES, page.url
        seen += 1
    assert seen > 5


def test_every_form_that_posts_carries_its_token(here: World, reader: Browser) -> None:
    for page in pages(here, reader):
        reader.page = page
        for form in reader.forms():
            if form.method == "post":
                assert form.fields.get("csrf_token"), (page.url, form.action)


def test_every_page_asks_the_database_little(here: World, reader: Browser) -> None:
    reader.http.get(f"{here.base}/billing", timeout=30)  # its first visit syncs with Stripe
    for rule in rules(here, "GET"):
        if rule.arguments or rule.rule.startswith(("/api/", "/v1/")):
            continue
        with counted(here) as statements:
            reader.http.get(here.base + rule.rule, allow_redirects=False, timeout=30)
        most = MOST_OF.get(rule.rule, MOST_QUERIES)
        assert len(statements) <= most, (rule.rule, len(statements), statements)


def test_the_success_page_asks_the_database_little(here: World, bob: Person) -> None:
    with here.app.app_context():
        session_id = db.session.execute(select(Order.session_id)).scalar_one()
    with counted(here) as statements:
        bob.browser.open(f"/billing/success?session_id={session_id}")
    assert len(statements) <= MOST_QUERIES, statements


def test_pages_ask_no_more_when_there_is_more_to_show(here: World, bob: Person) -> None:
    paths = ("/billing", "/keys", "/account", "/pricing")

    def asked() -> list[int]:
        numbers = []
        for path in paths:
            with counted(here) as statements:
                assert bob.browser.open(path).status_code == 200
            numbers.append(len(statements))
        return numbers

    asked()  # the first visit syncs with Stripe
    before = asked()
    with here.app.app_context():
        customer = db.session.execute(select(Customer)).scalar_one()
        invoice = db.session.execute(select(Invoice.__table__)).mappings().one()
        more = [
            {**invoice, "id": 1000 + n, "stripe_id": f"in_{n}", "created_at": clock.now() - timedelta(days=n)}
            for n in range(MANY)
        ]
        db.session.execute(insert(Invoice.__table__), more)
        for n in range(MANY):
            api_keys.mint(customer, f"Key {n}")
        db.session.commit()
    assert asked() == before
