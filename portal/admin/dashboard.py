"""Where Stripe's own dashboard shows an object."""

from urllib.parse import quote

from portal.settings import current_settings

# What comes before the first underscore of an id, and the dashboard's page of such objects.
PAGES = {
    "ch": "payments",
    "cus": "customers",
    "dp": "disputes",
    "du": "disputes",
    "evt": "events",
    "in": "invoices",
    "pi": "payments",
    "plink": "payment-links",
    "price": "prices",
    "prod": "products",
    "py": "payments",
    "sub": "subscriptions",
    "sub_sched": "subscription_schedules",
}


def url(stripe_id: str, mode: str) -> str:
    """The object's page in this mode; what has no page of its own is looked up by its id."""
    home = current_settings().dashboard
    lane = home if mode == "live" else f"{home}/test"
    kind, _, _ = stripe_id.rpartition("_")
    if page := PAGES.get(kind):
        return f"{lane}/{page}/{quote(stripe_id, safe='')}"
    return f"{lane}/search?query={quote(stripe_id, safe='')}"
