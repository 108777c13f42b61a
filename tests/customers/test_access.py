"""Which tier a customer has: the table of subscription statuses, tested without a database."""

from datetime import UTC, datetime, timedelta

import pytest

from portal.customers.access import Access, Owned, decide
from portal.models import Plan, Subscription

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
GRACE = timedelta(days=7)
SECOND = timedelta(seconds=1)
PLANS = [
    Plan(tier=tier, name=tier.capitalize(), position=position, entitlements={"requests": position})
    for position, tier in enumerate(("free", "starter", "pro", "enterprise"))
]


def subscription(tier: str | None, status: str, **more: object) -> Subscription:
    return Subscription(tier=tier, status=status, **more)


def has(*subscriptions: Subscription, suspended: bool = False, owned: tuple[Owned, ...] = ()) -> Access:
    return decide(subscriptions, PLANS, suspended=suspended, now=NOW, grace=GRACE, owned=owned)


@pytest.mark.parametrize("status", ["trialing", "active"])
def test_a_running_subscription_gives_its_tier(status: str) -> None:
    mine = has(subscription("pro", status))
    assert (mine.tier, mine.status, mine.plan_name, mine.entitlements) == ("pro", status, "Pro", {"requests": 2})


@pytest.mark.parametrize("status", ["incomplete", "incomplete_expired", "canceled", "unpaid", "paused"])
def test_any_other_gives_nothing(status: str) -> None:
    mine = has(subscription("pro", status))
    assert (mine.tier, mine.status, mine.subscription) == ("free", "free", None)


def test_nobody_s_access_is_free_with_the_free_plan_s_entitlements() -> None:
    assert has() == Access("free", "Free", "free", {"requests": 0})


@pytest.mark.parametrize(
    ("age", "tier"),
    [(timedelta(0), "pro"), (GRACE - SECOND, "pro"), (GRACE, "free"), (GRACE + SECOND, "free")],
)
def test_a_failed_payment_leaves_the_tier_for_the_days_of_grace(age: timedelta, tier: str) -> None:
    assert has(subscription("pro", "past_due", past_due_since=NOW - age)).tier == tier


def test_it_is_said_until_when_grace_lasts() -> None:
    assert has(subscription("pro", "past_due", past_due_since=NOW)).until == NOW + GRACE


def test_a_scheduled_end_keeps_the_tier_and_is_said() -> None:
    ends = NOW + timedelta(days=9)
    mine = has(subscription("pro", "active", cancel_at=ends))
    assert (mine.tier, mine.until) == ("pro", ends)


def test_of_several_the_highest_plan_counts() -> None:
    lower, higher = subscription("starter", "active"), subscription("enterprise", "past_due", past_due_since=NOW)
    assert has(lower, higher).subscription is higher
    assert has(higher, lower).subscription is higher


def test_within_a_plan_active_counts_before_trialing_before_past_due() -> None:
    ranked = [
        subscription("pro", "active"),
        subscription("pro", "trialing"),
        subscription("pro", "past_due", past_due_since=NOW),
    ]
    for place, best in enumerate(ranked):
        assert has(*reversed(ranked[place:])).subscription is best


def test_when_grace_is_over_a_lower_plan_that_runs_counts() -> None:
    over = subscription("enterprise", "past_due", past_due_since=NOW - GRACE)
    assert has(over, subscription("starter", "active")).tier == "starter"


def test_a_usage_subscription_gives_no_tier() -> None:
    assert has(subscription(None, "active")).tier == "free"


def test_a_tier_that_left_the_catalogue_is_still_given() -> None:
    mine = has(subscription("gold", "active"))
    assert (mine.tier, mine.plan_name, mine.entitlements) == ("gold", "Gold", {})


def test_suspension_is_said_whatever_was_paid() -> None:
    mine = has(subscription("pro", "active"), suspended=True)
    assert (mine.status, mine.tier) == ("suspended", "pro")


def test_what_was_paid_once_stays_unless_a_subscription_is_higher() -> None:
    assert has(owned=(Owned("pro"),)).tier == "pro"
    assert has(subscription("starter", "active"), owned=(Owned("pro"),)).tier == "pro"
    assert has(subscription("enterprise", "active"), owned=(Owned("pro"),)).tier == "enterprise"
