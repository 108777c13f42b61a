"""What happened at Stripe, told to the portal in any order."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from sqlalchemy import select

from portal import access
from portal.extensions import db, limiter
from portal.models import Customer, Invoice, Purchase, StripeEvent, Subscription
from tests.support import events
from tests.support.events import Json, Photograph
from tests.support.world import World

PASSING = {"id", "synced_at", "completed_at", "paid_at", "revealed_at"}  # when, not what


@dataclass(frozen=True)
class Story:
    """What happened at Stripe, and the portal as it was before it heard of any of it."""

    raised: list[Json]
    before: Photograph
    mode: str = "live"
    expected: Json = field(default_factory=dict)  # the state when they are told in order, once


def in_order(here: World, story: Story) -> Story:
    """The story with the state that it ends in when it is told in order, once."""
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
        answers = list(pool.map(lambda event: events.deliver(here, event, story.mode), order))
    assert not [answer.text for answer in answers if answer.status_code != 200]
    with here.app.app_context():
        return state()


def state() -> dict[str, Any]:
    """Everything that the portal knows of its only customer, but for when it came to know it."""
    found: dict[str, Any] = {model.__name__: rows(model) for model in (Purchase, Subscription, Invoice)}
    found["tier"] = access.of(db.session.execute(select(Customer)).scalar_one()).tier
    found["events"] = set(db.session.execute(select(StripeEvent.state)).scalars())
    return found


def rows(model: Any) -> list[Json]:
    """A table's rows, in the order of their ids at Stripe where they have one: ours follow the deliveries."""
    found = db.session.execute(select(model.__table__)).mappings()
    kept = [{name: value for name, value in row.items() if name not in PASSING} for row in found]
    return sorted(kept, key=lambda row: str(row.get("stripe_id")))
