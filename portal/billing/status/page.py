"""What the billing page shows."""

from typing import Any

from portal import clock
from portal.billing.plan_change import slow_payments
from portal.billing.status import included, overviews
from portal.billing.upcoming import charges, mine
from portal.billing.upcoming.mine import Named
from portal.customers import access, balances
from portal.models import PaymentStatus, Subscription, SubscriptionChange
from portal.usage.monthly_run.months import Month


def of(named: Named, running: dict[Subscription, SubscriptionChange | None]) -> dict[str, Any]:
    """Return the template's variables for a customer. Runs three queries, and no call to Stripe."""
    now = clock.now(named.customer.clock_at)
    found = mine.everything(named, running, Month.of(now))
    held = access.of(named.customer, plans=found.plans, subscriptions=list(running), owned=found.owned)
    described = [overviews.of(one, found, now) for one in running]
    plans_first = sorted(described, key=lambda one: (one.row is not held.subscription, not one.row.is_plan))
    shown = next(iter(plans_first), None)
    return {
        "plan_name": held.plan_name,
        "owned": held.owned,
        "shown": shown,
        "others": [one for one in described if one is not shown],
        "banners": [banner for one in described for banner in one.banners],
        "charges": charges.of(found, now),
        "included": included.shown(named.customer, found.usage, now),
        "balances": balances.of(named.names, shown.row.currency if shown else None),
        "balance_changes": balances.changes(named.names),
        "invoices": found.invoices,
        "on_their_way": slow_payments.invoices_on_their_way(running.values()),
        "processing": PaymentStatus.PROCESSING,
    }
