"""What happened at Stripe, told to the portal in any order."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from sqlalchemy import select

from portal.customers import access
from portal.extensions import db, limiter
from portal.models import Customer, Invoice, Order, StripeEvent, Subscription
from tests.support import events
from tests.support.events import Json, Photograph
from tests.support.world import World

PASSING = {"id", "synced_at", "mrr_since", "completed_at", "paid_at", "revealed_at"}  # when, not what


@dataclass(frozen=True)
class Story:
    """What happened at Stripe, and the portal before it received any of the events."""

    raised: list[Json]
    before: Photograph
    mode: str = "live"
    expected: Json = field(default_factory=dict)  # the state when they are told in order, once


def in_order(here: World, story: Story) -> Story:
    """Return the story with the state that follows if its events are delivered in order, once."""
    return replace(story, expected=told(here, story, story.raised))


def shuffled(story: Story, chance: Random) -> list[Json]:
    """Every event at least once, some twice, in any order."""
    order = story.raised + chance.choices(story.raised, k=chance.randrange(5))
    chance.shuffle(order)
    return order


def told(here: World, story: Story, order: list[Json], *, at_once: int = 1) -> dict[str, Any]:
    """Return the portal's state after these events, starting from `before`."""
    limiter.reset()
    with here.app.app_context():
        events.restore(story.before)
        db.session.remove()
    with ThreadPoolExecutor(at_once) as pool:
        answers = list(pool.map(lambda event: events.deliver(here, event, story.mode), order))
    assert not [answer.text for answer in answers if answer.status_code != 200]
    with here.app.app_context():
        return state()


def state() -> dict[str, Any]:
    """Return everything that the portal stores of its only customer, without the times at which it did."""
    found: dict[str, Any] = {model.__name__: rows(model) for model in (Order, Subscription, Invoice)}
    found["tier"] = access.of(db.session.execute(select(Customer)).scalar_one()).tier
    found["events"] = set(db.session.execute(select(StripeEvent.state)).scalars())
    return found


def rows(model: Any) -> list[Json]:
    """Return a table's rows by their Stripe ids if they have one, because our ids follow the deliveries."""
    found = db.session.execute(select(model.__table__)).mappings()
    kept = [{name: value for name, value in row.items() if name not in PASSING} for row in found]
    return sorted(kept, key=lambda row: str(row.get("stripe_id")))
