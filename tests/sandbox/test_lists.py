"""What lists are narrowed by: each filter leaves something out."""

from collections.abc import Callable
from typing import Any

from tests.sandbox.clocked import START, advance, use_card
from tests.sandbox.hosted import submit, visit

DAY = 86400
PAID = {"amount": 1000, "currency": "usd", "confirm": True}


def ids(page: Any) -> list[str]:
    return [one.id for one in page.data]


def two_payments(api: Any, card: str) -> list[Any]:
    return [api.payment_intents.create({**PAID, "payment_method": card}) for _ in range(2)]


def test_invoices_are_found_by_their_state(api: Any, bob: Any, monthly: Any) -> None:
    draft = api.invoices.create({"customer": bob.id})
    sent = api.invoices.create({"customer": bob.id, "collection_method": "send_invoice", "days_until_due": 3})
    api.invoices.finalize_invoice(sent.id)
    terms = {"customer": bob.id, "items": [{"price": monthly.id}]}
    running = api.subscriptions.create(terms)
    later = api.subscriptions.create({**terms, "collection_method": "send_invoice", "days_until_due": 3})
    mine = {"customer": bob.id}
    assert ids(api.invoices.list({**mine, "status": "draft"})) == [later.latest_invoice, draft.id]
    found = ids(api.invoices.list({**mine, "collection_method": "send_invoice"}))
    assert found == [later.latest_invoice, sent.id]
    assert ids(api.invoices.list({"subscription": running.id})) == [running.latest_invoice]
    assert ids(api.subscriptions.list({**mine, "collection_method": "send_invoice"})) == [later.id]


def test_archived_objects_are_found(api: Any, product: Any) -> None:
    off = api.products.create({"name": "Off"})
    api.products.update(off.id, {"active": False})
    hidden = api.tax_rates.create({"display_name": "V", "inclusive": True, "percentage": 7, "active": False})
    shown = api.tax_rates.create({"display_name": "V", "inclusive": True, "percentage": 8})
    for rows, gone, kept in ((api.products, off, product), (api.tax_rates, hidden, shown)):
        found = ids(rows.list({"active": False, "limit": 100}))
        assert (gone.id in found, kept.id in found) == (True, False)


def test_events_are_found_by_type(api: Any, alice: Any) -> None:
    api.products.create({"name": "New"})
    api.customers.update(alice.id, {"name": "Alicia"})
    (newest,) = api.events.list({"type": "product.created", "limit": 1}).data
    assert newest.type == "product.created"
    found = api.events.list({"types": ["product.created", "price.created"], "limit": 2}).data
    assert {one.type for one in found} <= {"product.created", "price.created"}


def test_payments_are_found_by_what_they_belong_to(api: Any) -> None:
    for paid, other in (two_payments(api, "pm_card_createDispute"),):
        for one in (paid, other):
            (by_charge,) = api.disputes.list({"charge": one.latest_charge}).data
            (by_intent,) = api.disputes.list({"payment_intent": one.id}).data
            assert (by_charge.payment_intent, by_intent.charge) == (one.id, one.latest_charge)
    for one in two_payments(api, "pm_card_createIssuerFraudRecord"):
        (warning,) = api.radar.early_fraud_warnings.list({"charge": one.latest_charge}).data
        assert warning.charge == one.latest_charge
    for one in two_payments(api, "pm_card_visa"):
        refund = api.refunds.create({"payment_intent": one.id, "amount": 100})
        assert refund.amount == 100
        assert ids(api.refunds.list({"charge": one.latest_charge})) == [refund.id]
        assert ids(api.refunds.list({"payment_intent": one.id})) == [refund.id]


def test_balance_transactions_are_found_by_currency(api: Any) -> None:
    euro = api.payment_intents.create({**PAID, "currency": "eur", "payment_method": "pm_card_visa"})
    dollar = api.payment_intents.create({**PAID, "payment_method": "pm_card_visa"})
    found = [one.source for one in api.balance_transactions.list({"currency": "eur", "limit": 100}).data]
    assert (euro.latest_charge in found, dollar.latest_charge in found) == (True, False)


def test_objects_are_found_by_customer(api: Any, alice: Any, bob: Any, monthly: Any) -> None:
    notes, intents, schedules = {}, {}, {}
    for who in (alice, bob):
        invoice = api.invoices.create({"customer": who.id})
        item = {"customer": who.id, "invoice": invoice.id, "amount": 1000, "currency": "usd"}
        api.invoice_items.create(item)
        api.invoices.finalize_invoice(invoice.id)
        notes[who.id] = api.credit_notes.create({"invoice": invoice.id, "amount": 100}).id
        intents[who.id] = api.setup_intents.create({"customer": who.id, "payment_method": "pm_card_visa"})
        terms = {"customer": who.id, "items": [{"price": monthly.id}], "payment_behavior": "default_incomplete"}
        started = api.subscriptions.create({**terms, "trial_period_days": 5})
        schedules[who.id] = api.subscription_schedules.create({"from_subscription": started.id}).id
    for who in (alice, bob):
        mine = {"customer": who.id}
        assert ids(api.credit_notes.list(mine)) == [notes[who.id]]
        of_invoice = {"invoice": api.credit_notes.retrieve(notes[who.id]).invoice}
        assert ids(api.credit_notes.list(of_invoice)) == [notes[who.id]]
        assert ids(api.setup_intents.list(mine)) == [intents[who.id].id]
        by_card = {"payment_method": intents[who.id].payment_method}
        assert ids(api.setup_intents.list(by_card)) == [intents[who.id].id]
        assert [one.customer for one in api.subscriptions.list(mine).data] == [who.id]
        assert ids(api.subscription_schedules.list(mine)) == [schedules[who.id]]


def test_payments_of_invoices_are_found_by_status(api: Any, alice: Any) -> None:
    invoice = api.invoices.create({"customer": alice.id})
    api.invoice_items.create({"customer": alice.id, "invoice": invoice.id, "amount": 900, "currency": "usd"})
    api.invoices.finalize_invoice(invoice.id)
    found = {
        one: api.invoice_payments.list({"invoice": invoice.id, "status": one}).data for one in ("open", "paid")
    }
    assert {status: len(payments) for status, payments in found.items()} == {"open": 1, "paid": 0}


def test_items_that_wait_are_found(api: Any, alice: Any) -> None:
    invoice = api.invoices.create({"customer": alice.id})
    item = {"customer": alice.id, "amount": 1000, "currency": "usd"}
    billed = api.invoice_items.create({**item, "invoice": invoice.id})
    waits = api.invoice_items.create(item)
    assert ids(api.invoice_items.list({"customer": alice.id, "pending": True})) == [waits.id]
    assert ids(api.invoice_items.list({"customer": alice.id})) == [waits.id, billed.id]


def test_sessions_are_found_by_what_they_sold(
    api: Any, begin: Callable[..., Any], monthly: Any, once: Any
) -> None:
    for _ in range(2):
        session = begin("subscription", monthly)
        submit(session.url)
        sold = api.checkout.sessions.retrieve(session.id).subscription
        assert ids(api.checkout.sessions.list({"subscription": sold})) == [session.id]
        link = api.payment_links.create({"line_items": [{"price": once.id, "quantity": 1}]})
        url = visit(link.url).response.url
        assert [one.url for one in api.checkout.sessions.list({"payment_link": link.id}).data] == [url]


def test_lists_are_narrowed_by_seconds(api: Any, clock: Any) -> None:
    email = f"{clock.id.lower()}@example.com"
    early = api.customers.create({"test_clock": clock.id, "email": email})
    use_card(api, early, "pm_card_visa")
    advance(api, clock, days=1)
    late = api.customers.create({"test_clock": clock.id, "email": email})
    moment = START + DAY
    for created, found in (
        (START, [early]),
        ({"gt": START}, [late]),
        ({"gte": moment}, [late]),
        ({"lt": moment}, [early]),
        ({"lte": START}, [early]),
    ):
        assert ids(api.customers.list({"created": created, "email": email})) == [one.id for one in found]
