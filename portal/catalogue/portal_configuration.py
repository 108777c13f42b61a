"""The configuration of the Stripe customer portal, one per mode, created and kept up to date by `flask catalogue
push`.

It matches our pages: cards, billing details, all invoices, and cancellation at the end of the period with the same
reasons. Plans are changed only on our page, which knows what they cost.
"""

from typing import Any

from portal import clock, gateway
from portal.catalogue.prices import Pushed
from portal.enums import Mode
from portal.errors import StripeRefused
from portal.extensions import db
from portal.models import PortalConfiguration
from portal.models.subscription import CancellationReason
from portal.settings import current_settings
from portal.sync import idempotency

KEY = "customer portal"
WORDS = "the configuration of Stripe's own portal"
STAMP = "portal_pinned"  # in the metadata of our configuration

# https://docs.stripe.com/api/customer_portal/configurations/create
FEATURES: dict[str, Any] = {
    "customer_update": {"enabled": True, "allowed_updates": ["address", "email", "name", "phone", "tax_id"]},
    "invoice_history": {"enabled": True},
    "payment_method_update": {"enabled": True},
    "subscription_cancel": {
        "enabled": True,
        "mode": "at_period_end",
        "proration_behavior": "none",
        "cancellation_reason": {"enabled": True, "options": [str(reason) for reason in CancellationReason]},
    },
    "subscription_update": {"enabled": False},
}


def push(mode: Mode, *, dry_run: bool = False) -> Pushed:
    """Create the configuration if there is none, and undo manual changes to it. Commits."""
    found = _at_stripe(mode)
    if found is not None and agrees(found.features, FEATURES):
        what = "unchanged"
    elif dry_run:
        return Pushed(KEY, found.id if found else None, "differs" if found else "missing", WORDS)
    else:
        what = "put right" if found else "created"
        found = _made(mode, found)
    if not dry_run:
        _store(mode, found)
    return Pushed(KEY, found.id, what)


def agrees(theirs: Any, ours: Any) -> bool:
    """Return whether Stripe has all the values that we set. Stripe has more fields for each feature; lists
    match in any order.
    """
    if isinstance(ours, dict):
        return all(name in theirs and agrees(theirs[name], value) for name, value in ours.items())
    if isinstance(ours, list):
        return sorted(theirs) == sorted(ours)
    return bool(theirs == ours)


def _at_stripe(mode: Mode) -> gateway.PortalConfiguration | None:
    """Return the configuration whose id we stored; if it does not exist, one that carries our stamp."""
    known = db.session.get(PortalConfiguration, mode)
    db.session.commit()
    lane = gateway.of(mode)
    try:
        if known is not None:
            return lane.portal_configuration(known.stripe_id)
    except StripeRefused as refused:
        if refused.stripe_code != "resource_missing":
            raise
    return next((one for one in lane.portal_configurations() if one.metadata.get(STAMP) == mode), None)


def _made(mode: Mode, found: gateway.PortalConfiguration | None) -> gateway.PortalConfiguration:
    lane = gateway.of(mode)
    if found is not None:
        return lane.update_portal_configuration(found.id, {"features": FEATURES})
    params = {
        "features": FEATURES,
        "default_return_url": f"{current_settings().base_url}/billing",
        "metadata": {STAMP: mode},
    }
    return lane.create_portal_configuration(params, idempotency.content_key("portal-configuration", params))


def _store(mode: Mode, found: gateway.PortalConfiguration) -> None:
    row = db.session.get(PortalConfiguration, mode) or PortalConfiguration(mode=mode)
    row.stripe_id, row.features, row.updated_at = found.id, FEATURES, clock.now()
    db.session.add(row)
    db.session.commit()
