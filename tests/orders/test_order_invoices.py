"""INVOICES_FOR_ORDERS: each paid order gets an invoice at Stripe, which is a document and charges nothing."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import func, select, update

from portal import clock
from portal.credits.top_ups import top_ups
from portal.extensions import db
from portal.models import CreditEntry, Customer, Invoice, Order, OrderInvoice, OutboxMail, Payment, StripeEvent
from portal.orders.documents import invoices
from portal.payments import refunds
from tests.billing.test_prices_outside import made_price
from tests.conftest import Person
from tests.credits.test_top_ups import TERMS, save_card
from tests.support.looking import count, one
from tests.support.servers import LIVE_KEY
from tests.support.world import World


@pytest.fixture(autouse=True)
def wanted(here: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set INVOICES_FOR_ORDERS=1; more settings can be changed."""

    def change(**values: Any) -> None:
        changed = {"invoices_for_orders": True} | values
        settings = here.app.extensions["settings"].model_copy(update=changed)
        monkeypatch.setitem(here.app.extensions, "settings", settings)

    change()
    return change


def make(here: World) -> int:
    with here.app.app_context():
        return invoices.run()


def documents(here: World, mode: str = "live") -> list[Any]:
    """The invoices of orders at Stripe, with their lines, newest first."""
    made = here.stripe(mode).v1.invoices.list({"limit": 100, "expand": ["data.payments"]}).data
    numbers = {str(number) for number in _all(here, select(Order.number))}
    return [invoice for invoice in made if getattr(invoice.metadata, "order_document", None) in numbers]


def _all(here: World, query: Any) -> list[Any]:
    with here.app.app_context():
        return list(db.session.execute(query).scalars())


def lines(invoice: Any) -> list[tuple[str, int]]:
    return [(line.description, line.amount) for line in invoice.lines.data]


def credits_by_checkout(here: World, alice: Person, _wanted: Callable[..., None]) -> list[tuple[str, int]]:
    alice.browser.open("/credits")
    alice.browser.press("Buy Basic")
    alice.browser.pay()
    return [("5,500 credits", 4500)]


def credits_by_top_up(here: World, alice: Person, _wanted: Callable[..., None]) -> list[tuple[str, int]]:
    alice.browser.open("/credits")
    alice.browser.press("Turn on top-up", **TERMS)
    save_card(here)
    alice.browser.open("/credits")
    alice.browser.press("Turn on top-up", **TERMS)
    with here.app.app_context():
        top_ups.run()
    return [("5,500 credits", 4500)]


def a_plan_paid_once(here: World, alice: Person, wanted: Callable[..., None]) -> list[tuple[str, int]]:
    product = here.stripe().v1.products.create({"name": "Forever"}).id
    price = made_price(here, product, unit_amount=29900, recurring=None, metadata={"tier": "pro"})
    wanted(stripe_allowed_price_ids=frozenset({price}))
    here.app.extensions.pop("stripe_prices", None)
    alice.browser.choose(price)
    alice.browser.pay()
    return [("Forever", 29900)]


WAYS = [credits_by_checkout, credits_by_top_up, a_plan_paid_once]


@pytest.mark.parametrize("way", WAYS)
def test_whatever_charged_the_order_its_document_is_made_once(
    here: World, alice: Person, wanted: Callable[..., None], way: Callable[..., list[tuple[str, int]]]
) -> None:
    expected = way(here, alice, wanted)
    here.flush()
    paid = one(here, select(Payment.stripe_id))
    assert make(here) == 1
    here.flush()
    assert make(here) == 0
    (document,) = documents(here)
    assert (document.status, lines(document)) == ("paid", expected)
    assert (document.auto_advance, document.amount_due, document.amount_paid) == (
        False,
        expected[0][1],
        expected[0][1],
    )
    assert [tie.payment.payment_intent for tie in document.payments.data if tie.status == "paid"] == [paid]
    charges = here.stripe().v1.charges.list({"limit": 10}).data
    assert len([charge for charge in charges if charge.customer == document.customer and charge.paid]) == 1
    nothing_but_a_document(here, alice, document)


def nothing_but_a_document(here: World, alice: Person, document: Any) -> None:
    """No second payment, no second line, no mail, nothing to pay."""
    assert (count(here, Payment), count(here, Invoice)) == (1, 0)
    assert one(here, select(Payment.invoice_id)) is None
    assert one(here, select(Payment.document_url)) == document.hosted_invoice_url
    assert _all(here, select(OutboxMail.template).filter_by(template="receipt")) == []
    assert _all(here, select(StripeEvent.state).where(StripeEvent.state.in_(("failed", "parked")))) == []
    alice.browser.open("/history")
    assert alice.browser.page.text.count(document.hosted_invoice_url) == 1
    assert alice.browser.text.count("$299.00" if document.amount_paid == 29900 else "$45.00") == 1
    alice.browser.open("/history?kind=invoices")
    assert document.hosted_invoice_url not in alice.browser.page.text
    alice.browser.open("/billing")
    assert document.hosted_invoice_url not in alice.browser.page.text


def test_it_is_off_by_default(here: World, alice: Person, wanted: Callable[..., None]) -> None:
    wanted(invoices_for_orders=False)
    credits_by_checkout(here, alice, wanted)
    here.flush()
    assert make(here) == 0
    assert documents(here) == []


def test_what_is_paid_by_subscription_or_costs_nothing_has_none(here: World, bob: Person, alice: Person) -> None:
    alice.browser.choose("free-monthly")
    here.flush()
    assert count(here, OrderInvoice) == 0


def test_pending_items_and_discounts_of_the_customer_stay_out(
    here: World, alice: Person, wanted: Callable[..., None]
) -> None:
    expected = credits_by_checkout(here, alice, wanted)
    here.flush()
    stripe, customer = here.stripe().v1, one(here, select(Order.params))["customer"]
    stripe.invoice_items.create({"customer": customer, "amount": 1500, "currency": "usd"})
    coupon = stripe.coupons.create({"percent_off": 50, "duration": "forever"}).id
    as_before = {"Stripe-Version": "2024-06-20", "Authorization": f"Bearer {LIVE_KEY}"}  # newer ones give none
    given = {"url": f"{here.sandbox}/v1/customers/{customer}", "data": {"coupon": coupon}, "headers": as_before}
    here.wire.post(**given, timeout=30).raise_for_status()
    assert make(here) == 1
    (document,) = documents(here)
    assert (document.status, lines(document)) == ("paid", expected)
    assert [item.amount for item in stripe.invoice_items.list({"customer": customer, "pending": True}).data] == [
        1500
    ]


def test_a_balance_is_not_used_up_and_the_document_waits(
    here: World, alice: Person, wanted: Callable[..., None]
) -> None:
    credits_by_checkout(here, alice, wanted)
    here.flush()
    stripe, customer = here.stripe().v1, one(here, select(Order.params))["customer"]
    credit = stripe.customers.balance_transactions.create(customer, {"amount": -1000, "currency": "usd"})
    assert make(here) == 0
    assert one(here, select(OrderInvoice.error)) == "customer_balance"
    assert stripe.customers.retrieve(customer).balance == -1000
    assert one(here, select(Customer.credit_balance)) == 5500
    stripe.customers.balance_transactions.create(customer, {"amount": 1000, "currency": "usd"})
    with time_machine.travel(clock.now() + timedelta(minutes=5)):
        assert make(here) == 1
    (document,) = documents(here)
    assert (document.status, document.amount_paid) == ("paid", 4500)
    assert credit.amount == -1000


def test_a_customer_who_is_gone_gets_none_and_keeps_the_credits(
    here: World, alice: Person, wanted: Callable[..., None]
) -> None:
    credits_by_checkout(here, alice, wanted)
    here.flush()
    here.stripe().v1.customers.delete(one(here, select(Order.params))["customer"])
    moment = clock.now()
    for _ in range(invoices.MOST_TRIES + 1):
        moment += timedelta(days=4)
        with time_machine.travel(moment):
            assert make(here) == 0
    assert one(here, select(OrderInvoice.state)) == "failed"
    assert one(here, select(Customer.credit_balance)) == 5500
    assert one(here, select(Order.state)) == "paid"


def test_a_payment_that_cannot_be_attached_leaves_nothing_to_pay(
    here: World, alice: Person, wanted: Callable[..., None]
) -> None:
    credits_by_checkout(here, alice, wanted)
    here.flush()
    here.fail(next=1, status=400, path="/v1/invoices/in_", method="POST", skip=1)
    assert make(here) == 0
    assert one(here, select(OrderInvoice.state)) == "failed"
    (document,) = documents(here)
    assert document.status == "void"
    here.flush()
    assert (count(here, Payment), count(here, Invoice)) == (1, 0)


def test_while_stripe_is_silent_it_waits_longer_each_time(
    here: World, alice: Person, wanted: Callable[..., None]
) -> None:
    credits_by_checkout(here, alice, wanted)
    here.flush()
    here.fail(next=1000, status=503, path="/v1/")
    moment, tried = clock.now(), []
    for minute in range(40):
        with time_machine.travel(moment + timedelta(minutes=minute)):
            make(here)
        tried.append(one(here, select(OrderInvoice.tries)))
    assert tried[-1] <= 6
    here.calm()
    with time_machine.travel(moment + timedelta(hours=3)):
        assert make(here) == 1
    assert len(documents(here)) == 1


def test_a_refund_of_the_order_goes_on_as_before(here: World, alice: Person, wanted: Callable[..., None]) -> None:
    credits_by_checkout(here, alice, wanted)
    here.flush()
    assert make(here) == 1
    here.flush()
    with here.app.app_context():
        payment = db.session.execute(select(Payment)).scalar_one()
        refundable = refunds.refundable_of_payment(payment)
        db.session.commit()
        refunds.issue(refundable, 4500, 0, "the form")
    here.flush()
    assert one(here, select(Customer.credit_balance)) == 0
    total = select(func.sum(CreditEntry.amount))
    assert one(here, total) == 0


def test_an_order_of_before_the_setting_gets_none(here: World, alice: Person, wanted: Callable[..., None]) -> None:
    wanted(invoices_for_orders=False)
    credits_by_checkout(here, alice, wanted)
    here.flush()
    wanted()
    here.flush()
    assert make(here) == 0


def test_a_line_that_was_added_twice_is_not_finalized(
    here: World, alice: Person, wanted: Callable[..., None]
) -> None:
    """A call that Stripe answered with an error may have added it. The document is for what was paid, or none."""
    credits_by_checkout(here, alice, wanted)
    here.flush()
    here.fail(next=1, status=400, path="/v1/invoices/in_", method="POST")
    assert make(here) == 0
    (draft,) = documents(here)
    extra: Any = {"customer": draft.customer, "invoice": draft.id, "amount": 4500, "currency": "usd"}
    here.stripe().v1.invoice_items.create(extra)
    with here.app.app_context():
        db.session.execute(update(OrderInvoice).values(next_at=clock.now()))
        db.session.commit()
    assert make(here) == 0
    (draft,) = documents(here)
    assert (draft.status, one(here, select(OrderInvoice.error))) == ("draft", "total_differs")
