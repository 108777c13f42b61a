"""Order, duplicates and late delivery do not matter: one purchase's events in any order end in the same state."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from portal import access
from portal.extensions import db, limiter
from portal.models import ApiKey, Customer, Invoice, Purchase, StripeEvent, Subscription
from tests.conftest import Person
from tests.support import events
from tests.support.events import Json, Photograph
from tests.support.world import World

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

AT_ONCE = 4
PASSING = {"id", "synced_at", "completed_at", "paid_at", "revealed_at"}  # when, not what
EXAMPLES = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@dataclass(frozen=True)
class Story:
    """What happened at Stripe, and the portal as it was before it heard of any of it."""

    raised: list[Json]
    before: Photograph
    expected: Json = field(default_factory=dict)  # the state when they are told in order, once


@pytest.fixture
def purchase(here: World, alice: Person) -> Story:
    """Alice buys Pro."""
    mark = events.newest(here)
    alice.browser.choose("pro-monthly")
    with here.app.app_context():
        before = events.photograph()
    alice.browser.pay(follow=False)
    return in_order(here, Story(events.since(here, mark), before))


@pytest.fixture
def purchase_and_end(here: World, purchase: Story) -> Story:
    """Alice buys Pro, and the subscription is ended at once."""
    mark = events.newest(here)
    created = next(one for one in purchase.raised if one["type"] == "customer.subscription.created")
    here.stripe().v1.subscriptions.cancel(created["data"]["object"]["id"])
    return in_order(here, Story([*purchase.raised, *events.since(here, mark)], purchase.before))


def in_order(here: World, story: Story) -> Story:
    return replace(story, expected=told(here, story, story.raised))


def shuffled(story: Story, chance: Random) -> list[Json]:
    """Every event at least once, some twice, in any order."""
    order = story.raised + chance.choices(story.raised, k=chance.randrange(5))
    chance.shuffle(order)
    return order


def told(here: World, story: Story, order: list[Json], *, at_once: int = 1) -> dict[str, Any]:
    """The portal's state after it was told these events, from before on."""
    limiter.reset()
    with here.app.app_context():
        events.restore(story.before)
        db.session.remove()
    with ThreadPoolExecutor(at_once) as pool:
        answers = list(pool.map(lambda event: events.deliver(here, event), order))
    assert not [answer.text for answer in answers if answer.status_code != 200]
    with here.app.app_context():
        return state()


def state() -> dict[str, Any]:
    found: dict[str, Any] = {model.__name__: rows(model) for model in (Purchase, Subscription, Invoice)}
    found["tier"] = access.of(db.session.execute(select(Customer)).scalar_one()).tier
    found["events"] = set(db.session.execute(select(StripeEvent.state)).scalars())
    return found


def rows(model: Any) -> list[Json]:
    found = db.session.execute(select(model.__table__)).mappings()
    return [{name: value for name, value in row.items() if name not in PASSING} for row in found]


def one_key_is_revealed(here: World, alice: Person) -> None:
    with here.app.app_context():
        order = db.session.execute(select(Purchase.number)).scalar_one()
    alice.browser.open(f"/billing/success?order={order}")
    form = alice.browser.form("Reveal my API key")
    shown = [alice.browser.http.post(form.action, data=form.fields).text.count("key_live_") for _ in range(2)]
    assert shown[0] > 0
    with here.app.app_context():
        assert len(db.session.execute(select(ApiKey)).scalars().all()) == 1


@EXAMPLES
@given(seed=st.integers(0, 10**9))
def test_any_order_of_a_purchase_s_events_gives_the_plan_once(
    here: World, alice: Person, purchase: Story, seed: int
) -> None:
    assert purchase.expected["tier"] == "pro"
    assert purchase.expected["events"] == {"processed", "ignored"}
    assert told(here, purchase, shuffled(purchase, Random(seed))) == purchase.expected
    one_key_is_revealed(here, alice)


@EXAMPLES
@given(seed=st.integers(0, 10**9))
def test_any_order_at_once_after_the_subscription_has_ended_gives_nothing(
    here: World, purchase_and_end: Story, seed: int
) -> None:
    story = purchase_and_end
    assert story.expected["tier"] == "free"
    assert story.expected["Subscription"][0]["status"] == "canceled"
    assert told(here, story, shuffled(story, Random(seed)), at_once=AT_ONCE) == story.expected
