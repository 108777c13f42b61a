"""Changes whose payment takes days, other than by a waiting debit; and drafts that cannot be finalized."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal.billing import invoices
from portal.billing.plan_change import debits
from portal.enums import Mode
from portal.extensions import db
from portal.models import AuditEntry, OutboxMail, StripeEvent, Subscription, SubscriptionChange
from tests.billing.test_plan_change import at_stripe, confirm, price_id, starter
from tests.billing.test_steps import BAD_IBAN, GOOD_IBAN, by_debit
from tests.conftest import Person
from tests.support.clocked import on_a_clock
from tests.support.looking import one, tier
from tests.support.world import World


@pytest.mark.parametrize(("iban", "ends"), [(GOOD_IBAN, "pro"), (BAD_IBAN, "starter")], ids=["paid", "failed"])
def test_an_upgrade_by_debit_that_is_given_now(
    here: World, monkeypatch: pytest.MonkeyPatch, iban: str, ends: str
) -> None:
    monkeypatch.setattr(debits, "_policy", lambda _path: "now")
    bob = starter(here)
    by_debit(here, iban)
    confirm(bob, "pro-monthly")
    here.flush()
    assert tier(here) == "pro"
    here.settle()
    here.flush()
    row = one(here, select(Subscription))
    assert (row.tier, row.status, row.past_due_since) == (ends, "active", None)
    mine = at_stripe(here)
    assert mine["items"].data[0].price.id == price_id(here, f"{ends}-monthly")
    newest = here.stripe().v1.invoices.list({"subscription": mine.id, "limit": 1}).data[0]
    assert newest.status == ("paid" if ends == "pro" else "void")
    assert one(here, select(SubscriptionChange.state)) == ("done" if ends == "pro" else "failed")
    assert tier(here) == ends


@pytest.mark.parametrize("ends", ["pro", "starter"], ids=["paid", "voided"])
def test_an_upgrade_by_an_invoice_that_is_sent(here: World, ends: str) -> None:
    bob = starter(here)
    stripe = here.stripe().v1
    terms: Any = {"collection_method": "send_invoice", "days_until_due": 30}
    stripe.subscriptions.update(at_stripe(here).id, terms)
    here.flush()
    confirm(bob, "pro-monthly")
    assert "Your invoice for Pro is open. You can pay it on this page." in bob.browser.text
    assert "bank" not in bob.browser.text
    assert one(here, select(OutboxMail.context).filter_by(template="change_on_its_way"))["sent"] is True
    here.flush()
    assert (tier(here), one(here, select(SubscriptionChange.state))) == ("starter", "paying")
    newest = stripe.invoices.list({"subscription": at_stripe(here).id, "limit": 1}).data[0]
    if ends == "pro":
        stripe.invoices.pay(newest.id, {"paid_out_of_band": True})
    else:
        stripe.invoices.void_invoice(newest.id)
    here.flush()
    assert (tier(here), one(here, select(Subscription.past_due_since))) == (ends, None)
    assert at_stripe(here)["items"].data[0].price.id == price_id(here, f"{ends}-monthly")


def test_admins_are_told_of_a_draft_that_cannot_be_finalized(
    here: World, app: Flask, alice: Person, ada: Person, caplog: pytest.LogCaptureFixture
) -> None:
    carol = on_a_clock(here, alice.user)
    carol.stripe.customers.update(carol.stripe_customer, {"address": {"country": "DE"}})
    subscription = carol.subscribe(automatic_tax={"enabled": True})
    carol.stripe.customers.update(carol.stripe_customer, {"address": ""})
    carol.advance(days=28, hours=2)
    draft = carol.stripe.invoices.list({"subscription": subscription, "limit": 1}).data[0]
    assert (draft.status, draft.automatic_tax.status) == ("draft", "requires_location_inputs")
    assert draft.last_finalization_error.code == "customer_tax_location_invalid"
    assert one(here, select(StripeEvent.state).filter_by(type="invoice.finalization_failed")) == "processed"
    entry = one(here, select(AuditEntry).filter_by(action="invoice.not_finalized"))
    assert (entry.subject, entry.after) == (draft.id, {"code": "customer_tax_location_invalid"})
    letter = one(here, select(OutboxMail).filter_by(template="invoice_not_finalized"))
    assert (letter.user_id, letter.context["invoice"]) == (ada.user_id, draft.id)
    assert (letter.context["email"], letter.context["amount"]) == (alice.email, draft.amount_due)
    invoices.sync(Mode.TEST, draft.id)
    db.session.commit()
    lines = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    assert [line["event"] for line in lines].count("invoice_not_finalized") == 1
    carol.stripe.customers.update(carol.stripe_customer, {"address": {"country": "DE"}})
    assert carol.stripe.invoices.finalize_invoice(draft.id).last_finalization_error is None
