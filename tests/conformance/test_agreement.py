"""A stranger plays with subscriptions at Stripe; the portal only hears the webhooks, and agrees at every step."""

import importlib.resources
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import billing_e2e
import pytest
from billing_e2e.runner import Runner, StepResult
from billing_e2e.scenario import Config, Step, load_scenario
from billing_e2e.stripe_ops import StripeRun
from sqlalchemy import select

from portal.customers import access, stripe_customers
from portal.extensions import db
from portal.models import Customer, Price, StripeCustomer, Subscription, User
from tests.conftest import Person
from tests.support import servers
from tests.support.world import World

pytestmark = pytest.mark.long

SCENARIOS = importlib.resources.files(billing_e2e) / "scenarios"
GRANTING = (
    "trialing",
    "active",
    "past_due",
)  # no scenario looks at one that is past due for longer than the grace


class Witness(Runner):
    """Plays a scenario for one of the portal's users, and compares both views of it after each step."""

    def __init__(self, here: World, user_id: int, tiers: dict[str, str]) -> None:
        """`tiers` are those of the scenario's first price, and of a more expensive one."""
        variables = dict(zip(("monthly_price", "upgrade_price"), tiers, strict=True))
        config = Config(servers.TEST_KEY, setup="adopt the customer", vars=variables)
        super().__init__(config, here.stripe("test"))
        self.here, self.user_id, self.tiers = here, user_id, tiers

    def _hook(self, name: str, command: str, run: StripeRun) -> None:
        """Make the scenario's customer one of the portal."""
        with self.here.app.app_context():
            user = db.session.get(User, self.user_id)
            assert user is not None
            customer = stripe_customers.of(user, "test")
            row = StripeCustomer(customer_id=customer.id, mode="test", stripe_id=run.customer.id)
            row.created_at = datetime.now(UTC)
            db.session.add(row)
            db.session.commit()
            stripe_customers.sync("test", run.customer.id)

    def _step(self, step: Step, run: StripeRun) -> StepResult:
        done = super()._step(step, run)
        self.here.flush()
        if done.passed and run.subscription_id:
            assert self.portals_view(run) == self.stripes_view(run), done.label
        return done

    def portals_view(self, run: StripeRun) -> tuple[Any, ...]:
        with self.here.app.app_context():
            known = select(Subscription).filter_by(mode="test", stripe_id=run.subscription_id)
            row = db.session.execute(known).scalar_one()
            tier = access.of(db.session.get(Customer, row.customer_id)).tier
            return row.status, row.price_id, row.current_period_end, row.cancel_at, tier

    def stripes_view(self, run: StripeRun) -> tuple[Any, ...]:
        found = run.subscription
        item = found["items"].data[0]
        tier = self.tiers[item.price.id] if found.status in GRANTING else "free"
        return found.status, item.price.id, moment(item.current_period_end), moment(found.cancel_at), tier


def moment(seconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


@pytest.mark.parametrize(
    "name", sorted(entry.name for entry in SCENARIOS.iterdir() if entry.name.endswith(".yml"))
)
def test_the_portal_sees_what_stripe_sees(here: World, alice: Person, name: str) -> None:
    with here.app.app_context():
        rows = db.session.execute(select(Price).where(Price.key.in_(("starter-monthly", "pro-monthly")))).scalars()
        tiers = {
            str(price.test_price_id): price.plan.tier for price in sorted(rows, key=lambda price: price.amount)
        }
    witness = Witness(here, alice.user_id, tiers)
    with importlib.resources.as_file(SCENARIOS / name) as scenario:
        played = witness.run(load_scenario(Path(scenario)))
    witness.http.close()
    assert played.passed, [(step.label, step.detail) for step in played.steps if not step.passed] + played.errors
