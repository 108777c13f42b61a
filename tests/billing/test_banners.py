"""Banners about a subscription that the customer must not miss."""

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask, current_app

from portal.billing.status import banners
from portal.models import Invoice, Subscription, SubscriptionPart

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)
GRACE = timedelta(days=7)
NAMES = banners.Names("Pro", "Starter")
CARD = {
    "card_brand": "visa",
    "card_last4": "4242",
    "card_exp_month": 12,
    "card_exp_year": 2034,
    "method_type": "card",
}
PRO = SubscriptionPart("price_1", "prod_1", "Pro", 1, 4999, "4999", "usd", "month", is_plan=True)


def told(invoices: list[Invoice] | None = None, **facts: object) -> list[banners.Banner]:
    given = {
        "stripe_id": "sub_1",
        "tier": "pro",
        "amount": 4999,
        "currency": "usd",
        "interval": "month",
        "interval_count": 1,
        "items": [PRO.written()],
        "terms": {},
        **facts,
    }
    with current_app.test_request_context():
        return banners.of(Subscription(**given), invoices or [], NAMES, GRACE, NOW)


def invoice(**facts: object) -> Invoice:
    given = {"subscription_id": "sub_1", "status": "open", "hosted_url": "https://pay.example", **facts}
    return Invoice(**given)


@pytest.mark.parametrize(
    ("since", "words"),
    [
        (NOW - timedelta(days=2), "Your plan stays until 6 March 2027"),
        (NOW - timedelta(days=8), "your plan ended on 28 February 2027. Paying brings it back at once"),
    ],
)
def test_a_failed_payment_says_until_when_and_leads_to_the_invoice(
    app: Flask, since: datetime, words: str
) -> None:
    [banner] = told([invoice(status="paid"), invoice()], status="past_due", past_due_since=since)
    assert words in banner.text
    assert (banner.kind, banner.action_label, banner.action_url) == ("negative", "Pay now", "https://pay.example")


def test_a_payment_that_waits_for_its_owner_asks_to_be_confirmed(app: Flask) -> None:
    [banner] = told([invoice(needs_action=True)], status="past_due", past_due_since=NOW)
    assert banner.text.startswith("Your bank asks you to confirm")
    assert banner.action_label == "Confirm payment"
    assert told([invoice(needs_action=True)], status="incomplete")[0].action_label == "Confirm payment"


def test_without_an_invoice_there_is_nothing_to_press(app: Flask) -> None:
    [banner] = told([invoice(subscription_id="sub_2")], status="unpaid")
    assert (banner.action_url, banner.action_label) == (None, None)


def test_a_card_in_its_last_month_is_named(app: Flask) -> None:
    [banner] = told(status="active", **CARD | {"card_exp_month": 3, "card_exp_year": 2027})
    assert (banner.kind, "ending in 4242 expires 03/2027" in banner.text) == ("warning", True)
    assert told(status="active", **CARD) == []


@pytest.mark.parametrize(
    ("facts", "kind", "words"),
    [
        (CARD, "info", "Your trial ends on 3 March 2027. Then it is $49.99 a month, unless you cancel before."),
        ({}, "warning", "No payment method is saved: add one, or the payment fails."),
        ({"terms": {"without_method": "cancel"}}, "warning", "add one, or the plan ends."),
        ({"terms": {"without_method": "pause"}}, "warning", "add one, or the plan is paused."),
        ({"terms": {"sent": True}}, "info", "Then it is $49.99 a month, unless you cancel before."),
        (CARD | {"trial_end": NOW + timedelta(days=4)}, "", ""),
        (CARD | {"cancel_at": NOW + timedelta(days=2)}, "warning", "Your Pro plan ends on 3 March 2027."),
        (CARD | {"status": "active"}, "", ""),
    ],
)
def test_a_trial_that_ends_soon_says_what_comes_then(
    app: Flask, facts: dict[str, object], kind: str, words: str
) -> None:
    found = told(**{"status": "trialing", "trial_end": NOW + timedelta(days=2), **facts})
    assert [banner.kind for banner in found] == ([kind] if kind else [])
    assert not words or words in found[0].text
