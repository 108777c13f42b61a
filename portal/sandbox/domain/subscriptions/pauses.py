"""Paused subscriptions: without a card after a trial, or on request."""

from typing import Any

from portal.sandbox.account import Account

Json = dict[str, Any]
UPDATED = "customer.subscription.updated"


def pause(account: Account, subscription: Json, why: str) -> Json:
    """Bill nothing until it is resumed; why is one of Stripe's reasons, such as pause_requested."""
    paused = {"subscription": {"type": why}, "transitioned_at": account.now(), "type": "subscription"}
    account.change(subscription, {"status": "paused", "status_details": {"paused": paused}}, UPDATED)
    account.emit("customer.subscription.paused", subscription)
    return subscription


def resumed(account: Account, subscription: Json) -> Json:
    """Resume the subscription."""
    account.change(subscription, {"status": "active", "status_details": None}, UPDATED)
    account.emit("customer.subscription.resumed", subscription)
    return subscription
