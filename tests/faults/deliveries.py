"""Purchases of many customers, and what Stripe delivers about them: doubled, shuffled, again until answered."""

import itertools
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import requests
import stripe

from portal.catalogue import packages
from portal.credits.orders import checkout
from portal.customers import stripe_customers
from portal.enums import Mode
from portal.extensions import db
from portal.models import Customer
from tests.support import events, servers
from tests.support.books import a_customer
from tests.support.browsing import CARD
from tests.support.world import World

Json = dict[str, Any]
PAID = {"number": CARD, "expiration": "12 / 34", "cvc": "123", "name": "Test Person", "zip": "94107"}
CREDITS = 1000  # of the package Starter
SENDERS = 12


def buy(here: World, customers: int) -> None:
    """Have each of so many customers buy a package of credits. Nothing is delivered."""
    for number in range(customers):
        with here.app.test_request_context():
            customer = db.session.get(Customer, a_customer(f"customer{number}"))
            assert customer is not None
            stripe_customers.at_stripe(customer)
            order = checkout.begin(customer, packages.find("starter", Mode.LIVE), front=here.base)
            page = order.session_url
            db.session.remove()
        assert page is not None
        answer = here.wire.post(page, data=PAID, allow_redirects=False, timeout=30)
        assert answer.status_code in (302, 303), answer.text


def about(here: World, count: int, mark: str) -> list[Json]:
    """Return so many events about what was bought: those of the sandbox, and others about the same objects."""
    made = list(here.stripe().v1.events.list({"limit": 100, "ending_before": mark}).auto_paging_iter())
    assert made
    raised = [event.to_dict() for event in made]
    more = (raised[number % len(raised)] | {"id": f"evt_{uuid.uuid4().hex[:24]}"} for number in itertools.count())
    return [*raised, *itertools.islice(more, max(0, count - len(raised)))][: max(count, len(raised))]


def shuffled(wanted: Sequence[Json], seed: int = 28) -> list[Json]:
    """Return the events in any order, five percent of them twice."""
    chance = random.Random(seed)
    sent = [*wanted, *chance.sample(list(wanted), len(wanted) // 20)]
    chance.shuffle(sent)
    return sent


@dataclass
class Answers:
    """What was answered, and what should not have been."""

    statuses: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    done: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, what: str, answer: requests.Response) -> None:
        """Count an answer; 5xx is wrong unless it is 503 with Retry-After."""
        with self.lock:
            self.statuses[f"{what} {answer.status_code}"] += 1
            if answer.status_code >= 500 and not (answer.status_code == 503 and "Retry-After" in answer.headers):
                self.wrong.append(f"{what}: {answer.status_code} {answer.text[:200]}")

    def fail(self, what: str, error: Exception) -> None:
        """Count a request without an answer, which no proxy may leave a client with."""
        with self.lock:
            self.wrong.append(f"{what}: {error!r}")


def send(base: str, sent: Sequence[Json], answers: Answers) -> None:
    """Deliver every event until it is answered with 200, as Stripe does."""
    waiting = iter(sent)
    lock = threading.Lock()

    def next_one() -> Json | None:
        with lock:
            return next(waiting, None)

    def deliver() -> None:
        wire = requests.Session()
        while event := next_one():
            while _post(wire, base, event, answers) != 200:
                time.sleep(0.5)
            with answers.lock:
                answers.done += 1

    with ThreadPoolExecutor(SENDERS) as pool:
        for outcome in [pool.submit(deliver) for _ in range(SENDERS)]:
            outcome.result()


def _post(wire: requests.Session, base: str, event: Json, answers: Answers) -> int:
    body = events.body(event)
    signature = stripe.WebhookSignature.generate_signature_header(body, servers.SECRETS["live"])
    headers = {"Stripe-Signature": signature, "Content-Type": "application/json"}
    try:
        answer = wire.post(base + events.PATHS["live"], data=body, headers=headers, timeout=90)
    except requests.RequestException as error:
        answers.fail("webhook", error)
        return 0
    answers.note("webhook", answer)
    return answer.status_code


def visit(base: str, answers: Answers, until: Callable[[], bool]) -> None:
    """Look at pages and send a form, until it is over."""
    asks: Iterator[tuple[str, str]] = itertools.cycle(
        (("GET", "/pricing"), ("GET", "/login"), ("POST", "/api/auth/token"))
    )
    wire = requests.Session()
    while not until():
        method, path = next(asks)
        try:
            answers.note(f"{method} {path}", wire.request(method, base + path, json={}, timeout=90))
        except requests.RequestException as error:
            answers.fail(path, error)
        time.sleep(0.2)
