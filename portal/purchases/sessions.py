"""Checkout's sessions: what one is made with, and whether it asks for what was ordered."""

from typing import Any

from portal import gateway
from portal.models import Customer, Purchase
from portal.purchases.items import Item
from portal.settings import current_settings

Params = dict[str, Any]


def params(customer: Customer, item: Item, number: str, stripe_customer: str, urls: tuple[str, str]) -> Params:
    """Everything that a session is made with; `urls` are where success and "Back" lead."""
    metadata = {"purchase": number, "portal_mode": customer.mode, "kind": item.kind}
    success_url, cancel_url = urls
    common: Params = {
        "customer": stripe_customer,
        "client_reference_id": number,
        "metadata": metadata,
        "success_url": success_url,
        "cancel_url": cancel_url,
    }
    if item.kind == "usage":  # nothing is paid now: the card is kept for what will be used
        return common | {"mode": "setup", "currency": item.currency}
    return common | {"line_items": [_line(item)], **_kind(customer, item, metadata), **_asked_for()}


def _line(item: Item) -> Params:
    line: Params = {"price": item.stripe_id}
    if not item.metered:  # a metered price takes no quantity
        line["quantity"] = item.quantity
    return line


def _kind(customer: Customer, item: Item, metadata: dict[str, str]) -> Params:
    if not item.interval:  # Stripe mails its receipt there
        data = {"metadata": metadata, "receipt_email": customer.user.email}
        return {"mode": "payment", "payment_intent_data": data}
    kind: Params = {"mode": "subscription", "subscription_data": {"metadata": metadata, **_trial(item)}}
    if item.trial_days and not item.trial_needs_card:
        kind["payment_method_collection"] = "if_required"
    if current_settings().checkout_promotion_codes:
        kind["allow_promotion_codes"] = True
    return kind


def _trial(item: Item) -> Params:
    """A trial without a card ends with the trial, unless one is added: nobody owes for what they never ordered."""
    if not item.trial_days:
        return {}
    settings = {"end_behavior": {"missing_payment_method": "cancel"}}
    return {"trial_period_days": item.trial_days, "trial_settings": settings}


def _asked_for() -> Params:
    """What the settings have Checkout collect; what it collects goes on to the customer at Stripe."""
    settings = current_settings()
    asked: Params = {}
    if settings.checkout_address:
        asked["billing_address_collection"] = "required"
    if settings.checkout_tax_ids:
        asked["tax_id_collection"] = {"enabled": True}
    if settings.automatic_tax:
        asked["automatic_tax"] = {"enabled": True}
    if asked:
        asked["customer_update"] = {"address": "auto", "name": "auto"}
    return asked


def fits(purchase: Purchase, session: gateway.Session) -> bool:
    """Whether a session asks for what was ordered: the price, less what a code of ours takes off, plus taxes.

    With a trial nothing is due today. Taxes may be within the price or on top of it.
    """
    due = {purchase.amount, 0} if purchase.trial_days else {purchase.amount}
    subtotal, less = session.amount_subtotal, session.amount_discount
    if session.currency != purchase.currency or subtotal is None or subtotal not in due:
        return False
    if less and not (purchase.payment_link or purchase.params.get("allow_promotion_codes")):
        return False
    return session.amount_total in (subtotal - less, subtotal - less + session.amount_tax)
