"""What becomes of a bill: paid, overdue, or paid by credits; and the proof of the sums."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from portal import clock
from portal.credits import ledger
from portal.extensions import db
from portal.models import CreditEntry, Meter, StripeCustomer, UsageDay
from portal.usage import preferences
from portal.usage.monthly_run import bill_states
from tests.conftest import Person
from tests.support.books import a_customer, assert_balanced
from tests.support.looking import one
from tests.support.usage import (
    becomes,
    bill_of,
    event,
    invoices,
    lines_of,
    record,
    reporter,
    run,
    save_card,
    start,
)
from tests.support.world import World


def test_who_does_not_pay_in_time_is_suspended_until_they_do(here: World, app: Flask, alice: Person) -> None:
    start(alice.browser)
    here.flush()
    server = reporter(here, alice.email)
    stripe_id = one(here, select(StripeCustomer.stripe_id))
    failing = save_card(here, stripe_id, "pm_card_chargeCustomerFail")
    here.stripe().v1.customers.update(stripe_id, {"invoice_settings": {"default_payment_method": failing}})
    here.flush()
    record(server.customer_id, ("a", 10, "cpu_hour"))
    assert run(app).exit_code == 0
    becomes(here, server.customer_id, "unpaid")
    assert bill_states.sweep() == 0
    assert server.send(event("b")).status_code == 200
    overdue(server.customer_id)
    assert bill_states.sweep() == 1
    assert bill_states.sweep() == 0
    assert server.send(event("c")).status_code == 402
    alice.browser.open("/usage")
    assert "Not paid" in alice.browser.text
    assert "was not paid in time" in alice.browser.text
    since = bill_of(server.customer_id).unpaid_since
    here.stripe().v1.payment_methods.detach(failing)
    good = save_card(here, stripe_id)  # another card neither lifts it nor begins a second grace
    here.flush()
    assert server.send(event("c")).status_code == 402
    assert bill_of(server.customer_id).unpaid_since == since
    assert bill_states.sweep() == 0
    (invoice,) = [
        found for found in invoices(here, server.customer_id) if found.metadata.to_dict().get("kind") == "usage"
    ]
    assert invoice.status == "open"  # no other card is charged for it
    alice.browser.open("/usage")
    assert f'href="{invoice.hosted_invoice_url}"' in alice.browser.page.text
    here.stripe().v1.invoices.pay(invoice.id, {"payment_method": good})
    becomes(here, server.customer_id, "paid")
    assert server.send(event("d")).status_code == 200


def overdue(customer_id: int) -> None:
    """Make the bill overdue."""
    bill_of(customer_id).unpaid_since = clock.now() - timedelta(days=8)
    db.session.commit()


@pytest.mark.parametrize(("credits", "rest"), [(40, 60), (100, 0), (1000, 0), (0, 100), (-5, 100)])
def test_credits_pay_first_where_the_customer_chose_so(here: World, app: Flask, credits: int, rest: int) -> None:
    customer_id = a_customer()
    if credits:
        ledger.post(customer_id, credits, "adjustment", "test")
    preferences.let_credits_pay(customer_id, first=True)
    db.session.commit()
    record(customer_id, ("a", 10, "cpu_hour"))
    for _ in range(2):
        assert run(app).exit_code == 0
    spent = 100 - rest
    query = select(CreditEntry.amount, CreditEntry.reason).filter_by(customer_id=customer_id, reason="usage")
    assert [tuple(row) for row in db.session.execute(query)] == ([(-spent, "usage")] if spent else [])
    db.session.rollback()
    found = invoices(here, customer_id)
    assert [invoice.total for invoice in found] == ([rest] if rest else [])
    if rest and spent:
        assert lines_of(found[0])["credits"] == (-40, "Paid with 40 prepaid credits")
    assert bill_of(customer_id).state == ("invoiced" if rest else "nothing")


def test_usage_check_finds_a_day_that_is_not_the_sum_of_its_events(here: World, app: Flask) -> None:
    customer_id = a_customer()
    record(customer_id, ("a", 10, "cpu_hour"), ("b", 1, "gpu_hour"))
    check = app.test_cli_runner()
    assert check.invoke(args=["usage", "check"]).exit_code == 0
    day = db.session.execute(select(UsageDay).join(Meter).where(Meter.key == "cpu_hour")).scalar_one()
    day.units += 1
    db.session.commit()
    answer = check.invoke(args=["usage", "check"])
    assert (answer.exit_code, "events 10+0, day 11+0" in answer.output) == (1, True)
    db.session.delete(day)
    db.session.commit()
    assert check.invoke(args=["usage", "check"]).exit_code == 1


def test_credits_come_back_once_when_their_bill_is_void(here: World, app: Flask, alice: Person) -> None:
    start(alice.browser)
    here.flush()
    server = reporter(here, alice.email)
    ledger.post(server.customer_id, 40, "adjustment", "test")
    preferences.let_credits_pay(server.customer_id, first=True)
    db.session.commit()
    record(server.customer_id, ("a", 10, "cpu_hour"))
    failing = save_card(here, one(here, select(StripeCustomer.stripe_id)), "pm_card_chargeCustomerFail")
    settings = {"invoice_settings": {"default_payment_method": failing}}
    here.stripe().v1.customers.update(one(here, select(StripeCustomer.stripe_id)), settings)
    assert run(app).exit_code == 0
    becomes(here, server.customer_id, "unpaid")
    assert ledger.balance(server.customer_id) == 0
    db.session.commit()
    here.stripe().v1.invoices.void_invoice(str(bill_of(server.customer_id).invoice_id))
    becomes(here, server.customer_id, "void")
    bill_states.settle(server.customer_id)
    db.session.commit()
    assert assert_balanced(server.customer_id) == 40
    query = select(CreditEntry.amount).filter_by(reason="reinstatement")
    assert list(db.session.execute(query).scalars()) == [40]
