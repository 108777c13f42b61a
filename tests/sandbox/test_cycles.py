"""When a subscription is billed: anchors, one-time items, trials that move, paused collection."""

import datetime as dt
from typing import Any

import pytest
import stripe

from tests.sandbox.clocked import START, advance, use_card

DAY = 86400


def at(month: int, day: int, hour: int = 12, year: int = 2027) -> int:
    return int(dt.datetime(year, month, day, hour, tzinfo=dt.UTC).timestamp())


def newest(api: Any, subscription: Any) -> Any:
    return api.invoices.list({"subscription": subscription.id, "limit": 1}).data[0]


@pytest.fixture
def plain(api: Any, product: Any) -> Any:
    """$28 a month."""
    terms = {"unit_amount": 2800, "currency": "usd", "recurring": {"interval": "month"}}
    return api.prices.create({"product": product.id, **terms})


def test_the_time_until_the_anchor_is_prorated(api: Any, clock: Any, carol: Any, plain: Any) -> None:
    """https://docs.stripe.com/payments/checkout/billing-cycle: "then always on the 1st of the month" """
    advance(api, clock, days=15)  # 15 February: half of the 28 days are left until 1 March
    terms = {"items": [{"price": plain.id}], "billing_cycle_anchor": at(3, 1)}
    made = api.subscriptions.create({"customer": carol.id, **terms})
    first = newest(api, made)
    assert (first.total, first.status, made.billing_cycle_anchor) == (1400, "paid", at(3, 1))
    item = made["items"].data[0]
    assert (item.current_period_start, item.current_period_end) == (at(2, 15), at(3, 1))
    # What is added in that part of a period costs as much, and what was paid comes back in proportion.
    more = {"items": [{"id": item.id, "quantity": 3}], "proration_behavior": "always_invoice"}
    api.subscriptions.update(made.id, more)
    assert [line.amount for line in newest(api, made).lines.data] == [-1400, 4200]
    advance(api, clock, days=14, hours=2)
    assert (newest(api, made).total, newest(api, made).status) == (8400, "paid")
    assert api.subscriptions.retrieve(made.id)["items"].data[0].current_period_end == at(4, 1)
    with pytest.raises(stripe.InvalidRequestError, match="later than next natural billing date"):
        api.subscriptions.create({"customer": carol.id, **terms, "billing_cycle_anchor": at(5, 1)})
    with pytest.raises(stripe.InvalidRequestError, match="in the future"):
        api.subscriptions.create({"customer": carol.id, **terms, "billing_cycle_anchor": at(2, 1)})


def test_without_prorations_the_time_until_the_anchor_is_free(
    api: Any, clock: Any, carol: Any, plain: Any
) -> None:
    """docs.stripe.com/billing/subscriptions/billing-cycle: "Unlike a trial, there is no 0 USD invoice." """
    terms = {"items": [{"price": plain.id}], "billing_cycle_anchor": at(2, 10), "proration_behavior": "none"}
    made = api.subscriptions.create({"customer": carol.id, **terms})
    assert (made.status, made.latest_invoice) == ("active", None)
    assert api.invoices.list({"subscription": made.id}).data == []
    advance(api, clock, days=10, hours=2)
    assert (newest(api, made).total, newest(api, made).status) == (2800, "paid")


def test_an_anchor_on_the_last_day_of_every_month(api: Any, clock: Any, carol: Any, plain: Any) -> None:
    """https://docs.stripe.com/billing/subscriptions/billing-cycle: 28 February, 31 March, 30 April"""
    advance(api, clock, days=1)
    config = {"day_of_month": 31, "hour": 9, "minute": 30, "second": 15}
    terms = {"items": [{"price": plain.id}], "billing_cycle_anchor_config": config}
    made = api.subscriptions.create({"customer": carol.id, **terms})
    assert made.billing_cycle_anchor_config.to_dict() == {**config, "month": None}
    assert made.billing_cycle_anchor == at(2, 28, 9) + 30 * 60 + 15
    ends = []
    for _ in range(3):
        ends.append(api.subscriptions.retrieve(made.id)["items"].data[0].current_period_end)
        advance(api, clock, days=30)
    assert [f"{dt.datetime.fromtimestamp(end, dt.UTC):%d %b}" for end in ends] == ["28 Feb", "31 Mar", "30 Apr"]


def test_an_anchor_in_a_month_of_each_year(api: Any, clock: Any, carol: Any, product: Any) -> None:
    terms = {"unit_amount": 36500, "currency": "usd", "recurring": {"interval": "year"}}
    yearly = api.prices.create({"product": product.id, **terms})
    config = {"month": 4, "day_of_month": 11}
    made = api.subscriptions.create(
        {"customer": carol.id, "items": [{"price": yearly.id}], "billing_cycle_anchor_config": config}
    )
    assert (made.billing_cycle_anchor, newest(api, made).total) == (at(4, 11), 7000)


def test_a_trial_comes_before_the_anchor(api: Any, clock: Any, carol: Any, plain: Any) -> None:
    """ "a free period followed by a prorated period" (docs.stripe.com/billing/subscriptions/billing-cycle)"""
    terms = {"items": [{"price": plain.id}], "trial_end": at(2, 15), "billing_cycle_anchor": at(3, 1)}
    made = api.subscriptions.create({"customer": carol.id, **terms})
    assert (made.status, newest(api, made).total) == ("trialing", 0)
    advance(api, clock, days=15, hours=2)
    assert (newest(api, made).total, newest(api, made).status) == (1400, "paid")
    assert api.subscriptions.retrieve(made.id)["items"].data[0].current_period_end == at(3, 1)


def test_something_is_bought_once_with_a_subscription(
    api: Any, bob: Any, monthly: Any, once: Any, product: Any
) -> None:
    rate = api.tax_rates.create({"display_name": "VAT", "percentage": 10, "inclusive": False})
    data = {"currency": "usd", "product": product.id, "unit_amount": 700}
    extras = [{"price": once.id, "quantity": 2, "tax_rates": [rate.id]}, {"price_data": data}]
    terms = {"items": [{"price": monthly.id}], "add_invoice_items": extras}
    made = api.subscriptions.create({"customer": bob.id, **terms})
    bill = newest(api, made)
    assert sorted(line.amount for line in bill.lines.data) == [700, 3000, 4999]
    assert (bill.total, bill.status) == (4999 + 3000 + 300 + 700, "paid")
    api.subscriptions.update(made.id, {"add_invoice_items": extras})
    preview = api.invoices.create_preview({"subscription": made.id})
    assert (preview.total, newest(api, made).id) == (bill.total, bill.id)
    with pytest.raises(stripe.InvalidRequestError, match="only accepts prices with `type=one_time`"):
        api.subscriptions.update(made.id, {"add_invoice_items": [{"price": monthly.id}]})


def test_the_end_of_a_trial_moves(api: Any, clock: Any, carol: Any, plain: Any, hook: Any, sandbox: Any) -> None:
    terms = {"items": [{"price": plain.id}], "trial_end": at(2, 10)}
    made = api.subscriptions.create({"customer": carol.id, **terms})
    moved = api.subscriptions.update(made.id, {"trial_end": at(2, 20)})
    assert (moved.status, moved.trial_end, moved.billing_cycle_anchor) == ("trialing", at(2, 20), at(2, 20))
    assert moved.latest_invoice == made.latest_invoice
    advance(api, clock, days=15)
    assert api.subscriptions.retrieve(made.id).status == "trialing"
    advance(api, clock, days=5, hours=2)
    assert (newest(api, made).total, newest(api, made).status) == (2800, "paid")
    with pytest.raises(stripe.InvalidRequestError, match="in the future"):
        api.subscriptions.update(made.id, {"trial_end": at(2, 1)})


def test_a_trial_given_in_a_paid_period_gives_back_the_rest(api: Any, clock: Any, carol: Any, plain: Any) -> None:
    made = api.subscriptions.create({"customer": carol.id, "items": [{"price": plain.id}]})
    advance(api, clock, days=14)
    moved = api.subscriptions.update(made.id, {"trial_end": at(3, 7)})
    assert (moved.status, moved.trial_end, moved["items"].data[0].current_period_end) == (
        "trialing",
        at(3, 7),
        at(3, 7),
    )
    assert sorted(line.amount for line in newest(api, made).lines.data) == [-1400, 0]
    assert api.customers.retrieve(carol.id).balance == -1400
    advance(api, clock, days=21, hours=2)
    assert (newest(api, made).total, newest(api, made).amount_paid) == (2800, 1400)


@pytest.mark.parametrize(
    ("behavior", "status"), [("keep_as_draft", "draft"), ("mark_uncollectible", "uncollectible"), ("void", "void")]
)
def test_paused_collection_makes_invoices_that_nobody_pays(
    api: Any, clock: Any, carol: Any, plain: Any, behavior: str, status: str
) -> None:
    """https://docs.stripe.com/billing/subscriptions/pause-payment"""
    made = api.subscriptions.create({"customer": carol.id, "items": [{"price": plain.id}]})
    api.customers.update(carol.id, {"balance": -100})
    paused = {"behavior": behavior, "resumes_at": at(3, 1)}
    assert api.subscriptions.update(made.id, {"pause_collection": paused}).pause_collection.behavior == behavior
    advance(api, clock, days=28, hours=2)
    held = newest(api, made)
    assert (held.status, held.amount_paid, held.auto_advance, held.total) == (status, 0, False, 2800)
    # "won't use the customer credit balance"
    assert api.customers.retrieve(carol.id).balance == (0 if status == "uncollectible" else -100)
    after = api.subscriptions.retrieve(made.id)
    assert (after.status, after.pause_collection.resumes_at) == ("active", at(3, 1))
    advance(api, clock, days=1)
    assert api.subscriptions.retrieve(made.id).pause_collection is None
    advance(api, clock, days=30, hours=2)
    assert newest(api, made).status == "paid"
    api.subscriptions.update(made.id, {"pause_collection": {"behavior": behavior}})
    assert api.subscriptions.update(made.id, {"pause_collection": ""}).pause_collection is None


def test_the_newest_invoice_that_is_not_void_decides(api: Any, clock: Any, carol: Any, plain: Any) -> None:
    """https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses"""
    made = api.subscriptions.create({"customer": carol.id, "items": [{"price": plain.id}]})
    use_card(api, carol, "pm_card_chargeCustomerFail")
    item = made["items"].data[0].id
    advance(api, clock, days=5)
    more = {"items": [{"id": item, "quantity": 2}], "proration_behavior": "always_invoice"}
    api.subscriptions.update(made.id, more)
    older = newest(api, made)
    advance(api, clock, days=24)
    renewal = newest(api, made)
    assert (older.status, renewal.status, renewal.billing_reason) == ("open", "open", "subscription_cycle")
    api.invoices.pay(older.id, {"paid_out_of_band": True})
    assert api.subscriptions.retrieve(made.id).status == "past_due"
    api.invoices.void_invoice(renewal.id)
    assert api.subscriptions.retrieve(made.id).status == "active"


def test_what_is_added_within_the_hour_is_on_the_renewal(api: Any, clock: Any, carol: Any, plain: Any) -> None:
    """https://docs.stripe.com/billing/invoices/subscription: a renewal stays a draft for about an hour"""
    made = api.subscriptions.create({"customer": carol.id, "items": [{"price": plain.id}]})
    advance(api, clock, days=28, minutes=30)
    draft = newest(api, made)
    api.invoice_items.create({"customer": carol.id, "invoice": draft.id, "amount": 500, "currency": "usd"})
    assert (draft.status, api.invoices.retrieve(draft.id).total) == ("draft", 3300)
    advance(api, clock, minutes=31)
    paid = api.invoices.retrieve(draft.id)
    assert (paid.status, paid.amount_paid) == ("paid", 3300)
    assert paid.status_transitions.finalized_at == START + 28 * DAY + 3600
