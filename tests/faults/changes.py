"""Stories of subscriptions: changes and how they are undone, refused trials, and voided invoices."""

from typing import Any

from sqlalchemy import select, update

from portal.billing.lifecycle import invoice_voids, trial_ends
from portal.extensions import db
from portal.models import Plan, Subscription, SubscriptionChange, TrialUse, User, Voiding
from tests.billing.test_plan_change import at_stripe, confirm, price_id, save_card
from tests.billing.test_steps import BAD_IBAN, by_debit, planned
from tests.faults.injection import Site
from tests.faults.story import CHANGES, Story
from tests.support.clocked import on_a_clock
from tests.support.looking import one, tier

SUBSCRIPTIONS, SCHEDULES = "/v1/subscriptions/", "/v1/subscription_schedules/"


class Change(Story):
    """Bob, who has Pro, changes something."""

    def begin(self) -> None:
        self.bob = self.buyer("bob")

    def refuse(self, path: str) -> None:
        """Make Stripe refuse the next call."""
        self.here.fail(method="POST", next=1, status=400, path=path)

    def reasons(self) -> list[str]:
        """Return why there are invoices, oldest first."""
        made = self.here.stripe().v1.invoices.list({"subscription": at_stripe(self.here).id}).data
        return [str(invoice.billing_reason) for invoice in made][::-1]

    def unpaid(self) -> list[Any]:
        """Return the customer's open invoices."""
        mine = {"customer": str(at_stripe(self.here).customer), "status": "open"}
        return list(self.here.stripe().v1.invoices.list(mine).data)

    def states(self) -> list[str]:
        with self.here.app.app_context():
            query = select(SubscriptionChange.state).order_by(SubscriptionChange.id)
            return list(db.session.execute(query).scalars())


class Upgrade(Change):
    """An upgrade, which cancels the scheduled change."""

    sites = (
        Site("billing.plan_change.steps._release", CHANGES, "release"),
        Site("billing.plan_change.steps._update", CHANGES, ""),
    )

    def begin(self) -> None:
        super().begin()
        confirm(self.bob, "starter-monthly")

    def act(self) -> None:
        confirm(self.bob, "enterprise-monthly")

    def check(self) -> None:
        assert (tier(self.here), planned(self.here)) == ("enterprise", None)
        assert self.reasons() == ["subscription_create", "subscription_update"]
        assert self.states() == ["done", "done"]


class Downgrade(Change):
    """A downgrade is planned for the next renewal."""

    sites = (
        Site("billing.plan_change.steps.schedule", CHANGES, "create"),
        Site("billing.plan_change.steps.schedule", CHANGES, "phases"),
    )

    def act(self) -> None:
        confirm(self.bob, "starter-monthly")

    def check(self) -> None:
        assert (tier(self.here), planned(self.here)) == ("pro", "starter")
        assert self.reasons() == ["subscription_create"]


class Refused(Upgrade):
    """The upgrade is refused, and the scheduled change is scheduled again."""

    sites = (
        Site("billing.plan_change.steps.schedule", CHANGES, "again-create"),
        Site("billing.plan_change.steps.schedule", CHANGES, "again-phases"),
    )

    def act(self) -> None:
        self.refuse(SUBSCRIPTIONS)
        super().act()

    def check(self) -> None:
        assert (tier(self.here), planned(self.here)) == ("pro", "starter")
        assert self.reasons() == ["subscription_create"]
        assert self.states() == ["done", "failed"]


class HalfPlanned(Downgrade):
    """The schedule is created, its phases are refused, and it is released again."""

    sites = (Site("billing.plan_change.steps._release", CHANGES, "back-release"),)

    def act(self) -> None:
        self.refuse(SCHEDULES)
        super().act()

    def check(self) -> None:
        assert (tier(self.here), planned(self.here)) == ("pro", None)
        assert self.states() == ["failed"]


class Declined(Upgrade):
    """The card is declined for the upgrade: its invoice is voided, and the scheduled change is scheduled again."""

    sites = (Site("billing.plan_change.steps.void", CHANGES, "void"),)

    def begin(self) -> None:
        super().begin()
        save_card(self.here, self.bob, "4000 0000 0000 0341")

    def check(self) -> None:
        assert (tier(self.here), planned(self.here)) == ("pro", "starter")
        assert self.unpaid() == []
        assert at_stripe(self.here).status == "active"
        assert self.states() == ["done", "failed"]


class Unpaid(Change):
    """The bank refuses the payment of an upgrade days later: plan, invoice and downgrade are as before."""

    sites = (
        Site("billing.plan_change.steps._update", CHANGES, "undo"),
        Site("billing.plan_change.steps.void", CHANGES, "void"),
        Site("billing.plan_change.steps.schedule", CHANGES, "again-create"),
        Site("billing.plan_change.steps.schedule", CHANGES, "again-phases"),
    )

    def begin(self) -> None:
        super().begin()
        by_debit(self.here, BAD_IBAN)
        confirm(self.bob, "starter-monthly")
        confirm(self.bob, "enterprise-monthly")
        assert self.states() == ["done", "paying"]

    def act(self) -> None:
        self.here.settle()
        self.here.flush()

    def check(self) -> None:
        assert (tier(self.here), planned(self.here)) == ("pro", "starter")
        mine = at_stripe(self.here)
        assert (mine.status, mine["items"].data[0].price.id) == ("active", price_id(self.here, "pro-monthly"))
        assert one(self.here, select(Subscription.past_due_since)) is None
        assert self.unpaid() == []
        assert self.states() == ["done", "failed"]


class Ended(Change):
    """An admin ends a plan immediately."""

    sites = (Site("billing.plan_change.steps._end", CHANGES, ""),)

    def act(self) -> None:
        from portal.billing import cancellation

        self.in_context(lambda: cancellation.end(db.session.execute(select(Subscription)).scalar_one()))

    def check(self) -> None:
        assert at_stripe(self.here).status == "canceled"
        assert (tier(self.here), self.states()) == ("free", ["done"])


class Trial(Story):
    """A second trial with the same card is ended, and paid for."""

    sites = (Site("billing.lifecycle.trial_ends._end", "trial_uses", ""),)

    def begin(self) -> None:
        with self.here.app.app_context():
            db.session.execute(update(Plan).filter_by(key="pro").values(trial_days=14))
            db.session.commit()
        self.buyer("alice")
        self.buyer("charlie")

    def act(self) -> None:
        self.in_context(trial_ends.run)

    def check(self) -> None:
        with self.here.app.app_context():
            found = {use.state: use.subscription_id for use in db.session.execute(select(TrialUse)).scalars()}
        stripe = self.here.stripe().v1
        assert sorted(found) == ["ended", "granted"]
        assert stripe.subscriptions.retrieve(found["granted"]).status == "trialing"
        assert stripe.subscriptions.retrieve(found["ended"]).status == "active"
        paid = stripe.invoices.list({"subscription": found["ended"]}).data
        assert [invoice.amount_paid for invoice in paid] == [4999, 0]


class Voided(Story):
    """The open invoice of a plan that has ended is voided."""

    sites = (Site("billing.lifecycle.invoice_voids._void", "voidings", ""),)

    def begin(self) -> None:
        alice = self.someone("alice")
        with self.here.app.app_context():
            carol = on_a_clock(self.here, db.session.get_one(User, alice.user_id))
            subscription = carol.subscribe()
            carol.use_card("pm_card_chargeCustomerFail")
            carol.advance(days=28, hours=2)
            carol.stripe.subscriptions.cancel(subscription)
            carol.settle()
            db.session.remove()
        self.subscription = subscription

    def act(self) -> None:
        self.in_context(invoice_voids.run)

    def check(self) -> None:
        made: Any = self.here.stripe("test").v1.invoices.list({"subscription": self.subscription}).data
        assert [invoice.status for invoice in made] == ["void", "paid"]
        assert one(self.here, select(Voiding.state)) == "done"


STORIES = [Upgrade, Downgrade, Refused, HalfPlanned, Declined, Unpaid, Ended, Trial, Voided]
