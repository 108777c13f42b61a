"""Template filters that describe facts on the admin pages."""

import re
from datetime import datetime
from typing import Any
from urllib.parse import quote

from flask import Flask

from portal.enums import Mode
from portal.logs import mask
from portal.settings import current_settings
from portal.web.pages import datetime_text, whole_text
from portal.webhooks import masking

# Times in the audit log's facts, which are JSON.
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


# The prefix of an id, and the Dashboard's page for such objects.
DASHBOARD_PAGES = {
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


def dashboard(stripe_id: str, mode: Mode) -> str:
    """Return the object's page in this mode. Objects without a page are searched by id."""
    home = current_settings().dashboard
    lane = home if mode == Mode.LIVE else f"{home}/test"
    kind, _, _ = stripe_id.rpartition("_")
    if page := DASHBOARD_PAGES.get(kind):
        return f"{lane}/{page}/{quote(stripe_id, safe='')}"
    return f"{lane}/search?query={quote(stripe_id, safe='')}"


def home() -> str:
    """Return the overview of Stripe's Dashboard; the sandbox's is in the mode that admins can change: test."""
    settings = current_settings()
    return settings.dashboard if settings.is_at_stripe else f"{settings.dashboard}/test"


def fact(value: Any) -> str:
    """Format one fact of a change; an email address is shortened."""
    if value is None or value == "":
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return whole_text(value)
    if isinstance(value, list):
        return ", ".join(fact(one) for one in value) or "none"
    if isinstance(value, datetime):
        return datetime_text(value)
    if isinstance(value, str) and RFC3339.fullmatch(value):
        return datetime_text(datetime.fromisoformat(value))
    return masking.mail(mask(str(value)))


def init_app(app: Flask) -> None:
    """Register the filters."""
    app.jinja_env.globals["stripe_dashboard"] = home
    app.jinja_env.filters.update(
        dashboard=dashboard,
        fact=fact,
        mask=lambda text: masking.mail(mask(text)),
    )
