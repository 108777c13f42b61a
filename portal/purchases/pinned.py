"""What Stripe's own portal lets customers do: one configuration a mode, made and kept by `flask catalogue push`.

It agrees with our pages (seed 2): cards, billing details and all invoices there as here, cancelling at the end of
the period with the same reasons; plans are changed on our page alone, which knows what they cost.
"""

import hashlib
import json
from typing import Any

from portal import clock, gateway
from portal.errors import StripeRefused
from portal.extensions import db
from portal.models import PortalConfiguration
from portal.purchases.prices import Pushed
from portal.settings import current_settings

KEY = "customer portal"
WORDS = "the configuration of Stripe's own portal"
STAMP = "portal_pinned"  # in the metadata of the configuration that is ours

# https://docs.stripe.com/api/customer_portal/configurations/create
REASONS = (
    "customer_service",
    "low_quality",
    "missing_features",
    "other",
    "switched_service",
    "too_complex",
    "too_expensive",
    "unused",
)
FEATURES: dict[str, Any] = {
    "customer_update": {"enabled": True, "allowed_updates": ["address", "email", "name", "phone", "tax_id"]},
    "invoice_history": {"enabled": True},
    "payment_method_update": {"enabled": True},
    "subscription_cancel": {
        "enabled": True,
        "mode": "at_period_end",
        "proration_behavior": "none",
        "cancellation_reason": {"enabled": True, "options": list(REASONS)},
    },
    "subscription_update": {"enabled": False},
}


def push(mode: str, *, dry_run: bool = False) -> Pushed:
    """Make the configuration where there is none, and put right what somebody changed of it. Commits."""
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
    """Whether all that we ask for is so at Stripe, which knows more of each feature; lists in any order."""
    if isinstance(ours, dict):
        return all(name in theirs and agrees(theirs[name], value) for name, value in ours.items())
    if isinstance(ours, list):
        return sorted(theirs) == sorted(ours)
    return bool(theirs == ours)


def _at_stripe(mode: str) -> gateway.PortalConfiguration | None:
    """The one that we know; where it is unknown there or to us, one that carries our stamp."""
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


def _made(mode: str, found: gateway.PortalConfiguration | None) -> gateway.PortalConfiguration:
    lane = gateway.of(mode)
    if found is not None:
        return lane.update_portal_configuration(found.id, {"features": FEATURES})
    params = {
        "features": FEATURES,
        "default_return_url": f"{current_settings().base_url}/billing",
        "metadata": {STAMP: mode},
    }
    digest = hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()[:32]
    return lane.create_portal_configuration(params, f"portal-configuration-{digest}")


def _store(mode: str, found: gateway.PortalConfiguration) -> None:
    row = db.session.get(PortalConfiguration, mode) or PortalConfiguration(mode=mode)
    row.stripe_id, row.features, row.updated_at = found.id, FEATURES, clock.now()
    db.session.add(row)
    db.session.commit()
