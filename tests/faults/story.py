"""Shared code of the stories of claimed calls: the people, the way to a step, and the final checks."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar

import time_machine
from sqlalchemy import func, select

from portal import clock, jobs
from portal.errors import PortalError
from portal.extensions import db
from portal.models import OpenCall, Order, StripeCustomer, SubscriptionChange
from tests.conftest import Person, person
from tests.faults.injection import Site
from tests.support.looking import one
from tests.support.world import World

# The first row of each room's claims.
PURCHASES, CUSTOMERS, CHANGES, BILLS = "purchases", "stripe_customers", "subscription_changes", "monthly_bills"


class Story:
    """Makes some claimed calls. `act` runs during the fault, `again` after it, when time has passed."""

    sites: ClassVar[tuple[Site, ...]] = ()

    def __init__(self, here: World) -> None:
        self.here = here
        self.begin()

    def begin(self) -> None:
        """Create what exists before."""

    def act(self) -> None:
        """Do what makes the call."""
        raise NotImplementedError

    def again(self) -> None:
        """Do what a person does after an error; by default nothing."""

    def check(self) -> None:
        """Check that everything exists once."""
        raise NotImplementedError

    def someone(self, name: str, **facts: Any) -> Person:
        """A person of the cast, signed in."""
        return person(self.here, name, **facts)

    def buyer(self, name: str, price: str = "pro-monthly") -> Person:
        """Return a user who has bought a plan."""
        found = self.someone(name)
        found.browser.buy(price)
        self.here.flush()
        return found

    def in_context(self, do: Callable[[], Any]) -> Any:
        """Run in an app context, as a command or a scheduled task does; errors come from the fault."""
        with self.here.app.app_context():
            try:
                with suppress(PortalError):
                    return do()
            finally:
                db.session.rollback()
                db.session.remove()

    def stripe_customer(self, mode: str = "live") -> str:
        """Return the only current customer id at Stripe."""
        query = select(StripeCustomer.stripe_id).filter_by(mode=mode, is_current=True)
        return str(one(self.here, query.where(StripeCustomer.stripe_id.is_not(None))))


def recover(story: Story, *, minutes: int = 2) -> None:
    """Repair Stripe, let time pass, run the scheduled tasks, deliver the webhooks, and repeat what people did."""
    here = story.here
    here.control("failures")
    with time_machine.travel(clock.now().timestamp() + minutes * 60):
        for _ in range(2):
            with here.app.app_context():
                jobs.tick()
                db.session.remove()
            here.flush()
        story.again()
        here.flush()


def nothing_is_open(here: World) -> None:
    """Check that no call, order or change is open."""
    with here.app.app_context():
        calls = db.session.execute(select(func.count()).select_from(OpenCall).filter_by(settled_at=None))
        assert calls.scalar_one() == 0
        changes = select(SubscriptionChange.state).where(SubscriptionChange.state.in_(("open", "paying")))
        assert db.session.execute(changes).scalars().all() == []
        orders = select(Order.state).where(Order.state.in_(("open", "unclear")))
        assert db.session.execute(orders).scalars().all() == []
