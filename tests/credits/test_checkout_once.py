"""An order of credits is credited once, whichever path is first, and however often it runs."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
import requests
from sqlalchemy import select

from portal.extensions import db
from portal.models import Order
from portal.orders import fulfillment
from tests.conftest import Person
from tests.support import browsing, events
from tests.support.credits import BASIC, balance, begin, entries, session_id
from tests.support.world import World

pytestmark = pytest.mark.both_databases

DEBIT = "DE89370400440532013000"


def test_page_webhook_and_replay_at_once_post_one_entry(here: World, alice: Person) -> None:
    begin(alice)
    mark = events.newest(here)
    success = alice.browser.pay(follow=False).headers["Location"]
    wanted = ("checkout.session.completed", "payment_intent.succeeded")
    raised = [event for event in events.since(here, mark) if event["type"] in wanted]
    order = session_id(here)
    start = Barrier(6)

    def replay() -> None:
        with here.app.app_context():
            fulfillment.fulfill("live", order)

    ways: list[Any] = [lambda event=event: events.deliver(here, event) for event in raised * 2]
    ways += [replay, lambda: alice.browser.http.get(success)]
    with ThreadPoolExecutor(6) as pool:
        done = [pool.submit(lambda way=way: (start.wait(), way())) for way in ways]
        for one in done:
            one.result()
    assert entries(here) == [BASIC]


def test_a_session_that_costs_something_else_is_parked_and_never_credited(here: World, alice: Person) -> None:
    begin(alice)
    with here.app.app_context():
        db.session.execute(select(Order)).scalar_one().amount = 9900
        db.session.commit()
    mark = events.newest(here)
    alice.browser.pay(follow=False)
    raised = {event["type"]: event for event in events.since(here, mark)}
    for kind in ("checkout.session.completed", "payment_intent.succeeded"):
        assert events.deliver(here, raised[kind]).json()["status"] == "parked"
    assert entries(here) == []


def test_a_bank_debit_is_credited_when_the_money_arrives(here: World, alice: Person) -> None:
    here.hold_settlements()
    begin(alice)
    alice.browser.pay(iban=DEBIT, method="sepa_debit", number="")
    here.flush()
    assert entries(here) == []
    here.settle()
    here.flush()
    assert entries(here) == [BASIC]


def test_a_crash_before_the_commit_loses_nothing_and_a_replay_doubles_nothing(here: World, alice: Person) -> None:
    begin(alice)
    mark = events.newest(here)
    alice.browser.pay(follow=False)
    event = next(one for one in events.since(here, mark) if one["type"] == "checkout.session.completed")
    with here.app.app_context():
        snapshot = fulfillment.read("live", event["data"]["object"]["id"])
        assert fulfillment.apply(snapshot) is not None
        db.session.rollback()  # what dying here leaves
    assert entries(here) == []
    assert [events.deliver(here, event).json()["status"] for _ in range(2)] == ["processed", "duplicate"]
    assert entries(here) == [BASIC]


def test_the_webhooks_alone_are_enough(here: World, alice: Person) -> None:
    begin(alice)
    alice.browser.pay(follow=False)
    here.flush()
    assert entries(here) == [BASIC]


def test_several_purchases_may_be_open_at_once(here: World, alice: Person, visitor: browsing.Browser) -> None:
    begin(alice)
    first = alice.browser.page.url
    begin(alice, "Pro")
    alice.browser.pay()
    alice.browser.open(first)
    alice.browser.pay()
    assert balance(here) == 19_000


def test_a_form_that_is_sent_twice_at_once_makes_one_order(here: World, alice: Person) -> None:
    alice.browser.open("/credits")
    form = alice.browser.form("Buy Basic")
    cookies = alice.browser.http.cookies.get_dict()
    start = Barrier(4)

    def press() -> str:
        start.wait()
        answer = requests.post(form.action, form.fields, cookies=cookies, allow_redirects=False, timeout=30)
        assert answer.status_code == 303, answer.text
        return answer.headers["Location"]

    with ThreadPoolExecutor(4) as pool:
        (checkout,) = {one.result() for one in [pool.submit(press) for _ in range(4)]}
    order = session_id(here)
    assert order in checkout
    stripe = here.stripe().v1.checkout.sessions
    customer = stripe.retrieve(order).customer
    assert [one.id for one in stripe.list({"customer": str(customer)}).data] == [order]
    alice.browser.open(checkout)
    alice.browser.pay()
    alice.browser.page = alice.browser.http.post(form.action, form.fields, timeout=30)
    assert "5,500 credits were added" in alice.browser.text, "pressed once more, it tells of what was paid"
    assert entries(here) == [BASIC]


def test_a_form_whose_order_has_ended_unpaid_begins_another(here: World, alice: Person) -> None:
    alice.browser.open("/credits")
    form = alice.browser.form("Buy Basic")
    alice.browser.press("Buy Basic")
    ended = session_id(here)
    here.stripe().v1.checkout.sessions.expire(ended)
    here.flush()
    alice.browser.page = alice.browser.http.post(form.action, form.fields, timeout=30)
    assert ended not in alice.browser.page.url
    alice.browser.pay()
    assert entries(here) == [BASIC]


def test_another_amount_in_the_same_form_is_another_order(here: World, alice: Person) -> None:
    """A page shown again by "Back" has the nonce that it had."""
    alice.browser.open("/credits")
    form = alice.browser.form("Buy custom amount")
    for amount in ("25", "50"):
        alice.browser.page = alice.browser.http.post(form.action, form.fields | {"amount": amount}, timeout=30)
        alice.browser.pay()
    assert balance(here) == 7500
