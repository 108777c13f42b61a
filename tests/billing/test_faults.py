"""Stripe is down, slow, failing or its webhooks are lost: nothing is charged twice or lost, and messages are
correct.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, TypeVar

import pytest
import requests
from sqlalchemy import select, update

from portal import before_call, gateway
from portal.extensions import db
from portal.gateway import calls
from portal.models import ApiKey, Invoice, Order, StripeCustomer, StripeEvent, Subscription
from tests.conftest import Person
from tests.support import events
from tests.support.browsing import Browser
from tests.support.looking import count, one, tier
from tests.support.servers import free_port
from tests.support.world import World, eventually

pytestmark = pytest.mark.both_databases

SESSIONS = "/v1/checkout/sessions"
THREADS = 8
TRIES = 2  # the SDK asks once more by itself
FOR_EVER = 1000

Found = TypeVar("Found")


@pytest.fixture
def stripe_elsewhere(here: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Point the gateway at another address, or shorten its timeout; undone afterwards."""
    given = here.app.extensions["settings"]
    monkeypatch.setitem(here.app.extensions, "gateway", here.app.extensions["gateway"])  # restored afterwards

    def lead(*, base: str = here.sandbox, timeout: float = calls.SECONDS) -> None:
        monkeypatch.setitem(here.app.config, "STRIPE_TIMEOUT", timeout)
        settings = given.model_copy(update={"stripe_api_base": base})
        gateway.init_app(here.app, settings, before_call=before_call)

    return lead


def click(browser: Browser, price: str = "pro-monthly") -> requests.Response:
    return browser.choose(price, follow=False)


def sessions_at_stripe(here: World) -> list[Any]:
    customer = one(here, select(StripeCustomer.stripe_id))
    return list(here.stripe().v1.checkout.sessions.list({"customer": customer, "limit": 100}).data)


def at_once(*, times: int, do: Callable[[], Found]) -> list[Found]:
    start = Barrier(times)

    def run(_: int) -> Found:
        start.wait()
        return do()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(run, range(times)))


def is_an_apology(answer: requests.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.headers["Retry-After"]
    assert "You were not charged" in answer.text


def works_afterwards(here: World, alice: Person) -> None:
    """Check that the next click leads to the only session of the only order, and that paying it works."""
    alice.browser.page = click(alice.browser)
    assert alice.browser.page.status_code == 303, alice.browser.page.text
    location = alice.browser.page.headers["Location"]
    assert [session.url.split("#")[0] for session in sessions_at_stripe(here)] == [location.split("#")[0]]
    assert count(here, Order) == 1
    alice.browser.open(location)
    alice.browser.pay()
    assert "is yours" in alice.browser.text


def test_stripe_down(here: World, alice: Person, stripe_elsewhere: Callable[..., None]) -> None:
    stripe_elsewhere(base=f"http://127.0.0.1:{free_port()}")
    is_an_apology(click(alice.browser))
    stripe_elsewhere()
    works_afterwards(here, alice)


def test_stripe_slower_than_we_wait_though_it_does_it(
    here: World, alice: Person, stripe_elsewhere: Callable[..., None]
) -> None:
    stripe_elsewhere(timeout=0.3)
    here.fail(next=TRIES, status=200, delay=0.8, path=SESSIONS)
    is_an_apology(click(alice.browser))
    stripe_elsewhere()
    eventually(lambda: sessions_at_stripe(here))
    works_afterwards(here, alice)


@pytest.mark.parametrize("path", ["/v1/customers", SESSIONS])
def test_stripe_failing_is_asked_anew_and_not_for_the_recorded_failure(
    here: World, alice: Person, path: str
) -> None:
    here.fail(next=1, status=500, path=path)  # the SDK's second try is answered from the record
    is_an_apology(click(alice.browser))
    works_afterwards(here, alice)


def test_stripe_too_busy_for_a_moment_is_not_noticed(here: World, alice: Person) -> None:
    here.fail(next=1, status=429, path=SESSIONS)
    works_afterwards(here, alice)


def test_stripe_too_busy_for_long(here: World, alice: Person) -> None:
    here.fail(next=FOR_EVER, status=429)
    is_an_apology(click(alice.browser))
    here.calm()
    works_afterwards(here, alice)


@pytest.mark.parametrize("path", ["/v1/customers", SESSIONS])
def test_an_answer_that_was_lost_is_asked_for_again(here: World, alice: Person, path: str) -> None:
    mark = events.newest(here)
    here.fail(next=TRIES, after=True, path=path)
    is_an_apology(click(alice.browser))
    works_afterwards(here, alice)
    raised = [event["type"] for event in events.since(here, mark)]
    assert raised.count("customer.created") == 1


def test_another_choice_after_a_lost_answer_ends_the_session_that_nobody_saw(here: World, alice: Person) -> None:
    here.fail(next=TRIES, after=True, path=SESSIONS)
    is_an_apology(click(alice.browser))
    assert click(alice.browser, "starter-monthly").status_code == 303
    assert sorted(session.status for session in sessions_at_stripe(here)) == ["expired", "open"]


def test_a_key_that_stripe_refuses_is_our_trouble(
    here: World, alice: Person, stripe_elsewhere: Callable[..., None]
) -> None:
    here.fail(next=1, status=401)
    is_an_apology(click(alice.browser))
    works_afterwards(here, alice)


def test_an_order_that_stripe_refuses_does_not_stand_in_the_way_for_ever(here: World, alice: Person) -> None:
    here.fail(next=1, status=400, path=SESSIONS)
    answer = click(alice.browser)
    assert answer.status_code == 502
    assert "You were not charged" in answer.text
    assert click(alice.browser).status_code == 303
    assert len(sessions_at_stripe(here)) == 1


def test_the_success_page_while_stripe_is_down_promises_nothing(here: World, alice: Person) -> None:
    alice.browser.choose("pro-monthly")
    success = alice.browser.pay(follow=False).headers["Location"]
    here.fail(next=FOR_EVER, status=500)
    assert alice.browser.open(success).status_code == 200
    assert "being confirmed" in alice.browser.text
    assert "not charged" not in alice.browser.text
    here.calm()
    alice.browser.open(success)
    assert "is yours" in alice.browser.text


def test_the_way_to_stripe_s_portal_while_it_is_down(here: World, bob: Person) -> None:
    bob.browser.open("/billing")
    here.fail(next=FOR_EVER, status=500)
    bob.browser.press("Manage payment method")
    assert bob.browser.page.status_code == 503
    here.calm()
    bob.browser.open("/billing")
    assert bob.browser.press("Manage payment method", follow=False).status_code == 303


def test_the_same_choice_at_once_is_one_order_and_one_session(here: World, alice: Person) -> None:
    alice.browser.open("/pricing")
    form = next(form for form in alice.browser.forms() if form.fields.get("price") == "pro-monthly")
    cookies = alice.browser.http.cookies.get_dict()
    here.fail(next=FOR_EVER, status=200, delay=0.1)

    def choose() -> requests.Response:
        return requests.post(form.action, data=form.fields, cookies=cookies, allow_redirects=False, timeout=30)

    answers = at_once(times=6, do=choose)
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert count(here, Order) == 1
    assert len(sessions_at_stripe(here)) == 1


def test_page_webhooks_and_reveals_at_once_give_everything_once(here: World, alice: Person) -> None:
    mark = events.newest(here)
    alice.browser.choose("pro-monthly")
    success = alice.browser.pay(follow=False).headers["Location"]
    raised = events.since(here, mark)
    cookies = alice.browser.http.cookies.get_dict()
    tellers = [lambda event=event: events.deliver(here, event) for event in [*raised, *raised]]
    lookers = [lambda: requests.get(success, cookies=cookies, timeout=30) for _ in range(4)]
    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(lambda do: do(), [*lookers, *tellers]))
    assert {answer.status_code for answer in answers} == {200}
    assert (count(here, Order), count(here, Subscription), count(here, Invoice)) == (1, 1, 1)
    assert one(here, select(Order.state)) == "paid"

    alice.browser.open(success)
    form = alice.browser.form("Reveal my API key")
    pages = at_once(times=THREADS, do=lambda: requests.post(form.action, form.fields, cookies=cookies, timeout=30))
    assert {page.status_code for page in pages} == {200}
    assert sum("Bearer key_live_" in page.text for page in pages) == 1
    assert count(here, ApiKey) == 1


def test_an_order_that_differs_from_its_session_gives_nothing(here: World, alice: Person) -> None:
    mark = events.newest(here)
    alice.browser.choose("pro-monthly")
    success = alice.browser.pay(follow=False).headers["Location"]
    with here.app.app_context():
        db.session.execute(update(Order).values(amount=1))
        db.session.commit()
    completed = [one for one in events.since(here, mark) if one["type"] == "checkout.session.completed"]
    assert events.deliver(here, completed[0]).json()["status"] == "parked"
    assert "differ in" in one(here, select(StripeEvent.error))
    assert (one(here, select(Order.state)), count(here, Subscription)) == ("open", 0)
    alice.browser.open(success)
    assert "Reveal" not in alice.browser.text
    assert "not charged" not in alice.browser.text
    assert "Someone will look at it" in alice.browser.text
    answer = click(alice.browser)
    assert answer.status_code == 409
    assert one(here, select(Order.number)) in answer.text


def test_somebody_else_s_payment_for_my_order_gives_nothing(here: World, alice: Person) -> None:
    """A session of another customer that names Alice's order: only who made the account's keys could forge it."""
    click(alice.browser)
    number, params = one(here, select(Order.number)), one(here, select(Order.params))
    mark = events.newest(here)
    thief = here.stripe().v1.customers.create({"email": "thief@example.com"})
    forged = here.stripe().v1.checkout.sessions.create(params | {"customer": thief.id})
    alice.browser.open(forged.url)
    alice.browser.pay(follow=False)
    completed = [one for one in events.since(here, mark) if one["type"] == "checkout.session.completed"]
    assert completed[0]["data"]["object"]["metadata"]["purchase"] == number
    assert events.deliver(here, completed[0]).json()["status"] == "parked"
    assert "customer" in one(here, select(StripeEvent.error))
    assert one(here, select(Order.state)) == "open"
    assert tier(here) == "free"


def test_a_call_that_is_still_under_way_at_stripe_is_not_counted_as_refused(here: World, alice: Person) -> None:
    here.fail(next=TRIES, status=409, path=SESSIONS)
    is_an_apology(click(alice.browser))
    assert one(here, select(Order.attempt)) == 1
    works_afterwards(here, alice)
