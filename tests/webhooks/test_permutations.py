"""Order, duplicates and late delivery do not matter: one purchase's events in any order end in the same state."""

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from portal.extensions import db
from portal.models import ApiKey, Order
from tests.conftest import Person
from tests.support import events
from tests.support.stories import Story, in_order, shuffled, told
from tests.support.world import World

pytestmark = [
    pytest.mark.long,
    pytest.mark.both_databases,
    pytest.mark.filterwarnings("ignore:Generating overly large repr"),
]

AT_ONCE = 4
EXAMPLES = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


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
    """Alice buys Pro, and the subscription is ended immediately."""
    mark = events.newest(here)
    created = next(one for one in purchase.raised if one["type"] == "customer.subscription.created")
    here.stripe().v1.subscriptions.cancel(created["data"]["object"]["id"])
    return in_order(here, Story([*purchase.raised, *events.since(here, mark)], purchase.before))


def one_key_is_revealed(here: World, alice: Person) -> None:
    with here.app.app_context():
        order = db.session.execute(select(Order.number)).scalar_one()
    alice.browser.open(f"/billing/success?order={order}")
    form = alice.browser.form("Reveal my API key")
    shown = [alice.browser.http.post(form.action, data=form.fields).text.count("key_live_") for _ in range(2)]
    assert shown[0] > 0
    with here.app.app_context():
        assert len(db.session.execute(select(ApiKey)).scalars().all()) == 1


@EXAMPLES
@given(order=st.integers(0, 10**9))
def test_any_order_of_a_purchase_s_events_gives_the_plan_once(
    here: World, alice: Person, purchase: Story, order: int
) -> None:
    assert purchase.expected["tier"] == "pro"
    assert purchase.expected["events"] == {"processed", "ignored"}
    assert told(here, purchase, shuffled(purchase, Random(order))) == purchase.expected
    one_key_is_revealed(here, alice)


@EXAMPLES
@given(order=st.integers(0, 10**9))
def test_any_order_at_once_after_the_subscription_has_ended_gives_nothing(
    here: World, purchase_and_end: Story, order: int
) -> None:
    story = purchase_and_end
    assert story.expected["tier"] == "free"
    assert story.expected["Subscription"][0]["status"] == "canceled"
    assert told(here, story, shuffled(story, Random(order)), at_once=AT_ONCE) == story.expected
