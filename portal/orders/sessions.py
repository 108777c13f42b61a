"""Checkout Sessions: their parameters, and whether they match the order."""

from typing import Any

from portal import gateway
from portal.catalogue.items import Item
from portal.models import Customer, Order
from portal.settings import current_settings

Params = dict[str, Any]

ID_PLACEHOLDER = "{CHECKOUT_SESSION_ID}"  # Stripe replaces it in a success URL with the session's id


def params(customer: Customer, item: Item, number: str, stripe_customer: str, urls: tuple[str, str]) -> Params:
    """Return all parameters of a session. `urls` are the success and cancel URLs."""
    metadata = {"purchase": number, "portal_mode": customer.mode, "kind": item.kind}
    success_url, cancel_url = urls
    common: Params = {
        "customer": stripe_customer,
        "client_reference_id": number,
        "metadata": metadata,
        "success_url": success_url,
        "cancel_url": cancel_url,
    }
    if item.kind == "usage":  # nothing is paid now: the card is saved for later usage
        return common | {"mode": "setup", "currency": item.currency}
    common["currency"] = item.currency  # that of the page; a price can have several
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
    """Return the trial's parameters. A trial without a card ends unless one is added, so that nobody is billed
    unexpectedly.
    """
    if not item.trial_days:
        return {}
    settings = {"end_behavior": {"missing_payment_method": "cancel"}}
    return {"trial_period_days": item.trial_days, "trial_settings": settings}


def _asked_for() -> Params:
    """Return what the settings make Checkout collect. Stripe stores it on the customer."""
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


def fits(order: Order, session: gateway.Session, line: gateway.SessionLine | None = None) -> bool:
    """Return whether a session charges what was ordered: the price minus our promotion codes, plus taxes.

    With a trial, nothing is due today. Taxes can be included in the price or added to it. In another currency,
    what was ordered is the amount of that currency of the same price, which is that of its `line`. A Payment Link
    has its own terms, such as further lines.
    """
    if order.payment_link:
        return session.amount_total is not None
    amount = _ordered(order, session, line)
    due = {amount, 0} if order.trial_days else {amount}
    subtotal, less = session.amount_subtotal, session.amount_discount
    if amount is None or subtotal is None or subtotal not in due:
        return False
    if less and not order.params.get("allow_promotion_codes"):
        return False
    return session.amount_total in (subtotal - less, subtotal - less + session.amount_tax)


def _ordered(order: Order, session: gateway.Session, line: gateway.SessionLine | None) -> int | None:
    """Return what was ordered in the session's currency; None if the price has no such, or it sells another."""
    if session.currency == order.currency:
        return order.amount
    asked = order.params.get("line_items", [{}])[0]
    wanted = (asked.get("price"), asked.get("quantity", 1), session.currency)
    return line.cost if line and (line.price.id, line.quantity, line.price.currency) == wanted else None
