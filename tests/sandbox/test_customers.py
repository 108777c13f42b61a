"""Fields of customers, their cards and tax IDs, and how later responses use them."""

from typing import Any

from tests.sandbox.conftest import Sandbox

HOME = {"line1": "1 Main St", "city": "Berlin", "country": "DE", "postal_code": "10115"}


def test_a_customers_details_go_onto_the_next_invoice(api: Any) -> None:
    made = api.customers.create(
        {
            "email": "carl@example.com",
            "name": "Carl",
            "phone": "+49301",
            "description": "met at a fair",
            "metadata": {"shop": "7"},
            "address": HOME,
            "shipping": {"name": "Carl", "address": HOME},
            "tax_id_data": [{"type": "eu_vat", "value": "DE123456789"}],
            "invoice_prefix": "CARL",
            "next_invoice_sequence": 41,
            "balance": -300,
        }
    )
    api.invoice_items.create({"customer": made.id, "amount": 1000, "currency": "usd"})
    terms = {"pending_invoice_items_behavior": "include", "auto_advance": False}
    invoice = api.invoices.finalize_invoice(api.invoices.create({"customer": made.id, **terms}).id)
    assert (invoice.number, invoice.amount_due, invoice.starting_balance) == ("CARL-0041", 700, -300)
    assert (invoice.customer_email, invoice.customer_name, invoice.customer_phone) == (
        made.email,
        "Carl",
        "+49301",
    )
    assert (invoice.customer_address.city, invoice.customer_shipping.address.city) == ("Berlin", "Berlin")
    assert [one.value for one in invoice.customer_tax_ids] == ["DE123456789"]
    assert (made.description, made.metadata.shop) == ("met at a fair", "7")


def test_a_customers_details_can_be_changed(api: Any, alice: Any) -> None:
    wanted = {"email": "new@example.com", "name": "New", "phone": "+1", "description": "changed", "balance": 200}
    more = {"invoice_prefix": "NEWER", "next_invoice_sequence": 5, "metadata": {"a": "b"}}
    api.customers.update(alice.id, {**wanted, **more, "address": HOME, "shipping": {"name": "N", "address": HOME}})
    api.invoice_items.create({"customer": alice.id, "amount": 1000, "currency": "usd"})
    invoice = api.invoices.create({"customer": alice.id, "pending_invoice_items_behavior": "include"})
    invoice = api.invoices.finalize_invoice(invoice.id)
    assert (invoice.number, invoice.amount_due) == ("NEWER-0005", 1200)
    assert (invoice.customer_name, invoice.customer_phone, invoice.customer_email) == (
        "New",
        "+1",
        wanted["email"],
    )
    assert (invoice.customer_address.country, invoice.customer_shipping.name) == ("DE", "N")
    found = api.customers.retrieve(alice.id)
    assert (found.description, found.metadata.a, found.balance) == ("changed", "b", 0)


def test_a_card_keeps_its_holder_and_date(api: Any, alice: Any) -> None:
    card = {"number": "4242424242424242", "exp_month": 3, "exp_year": 2031}
    holder = {"name": "Ann", "email": "ann@example.com", "address": HOME}
    made = api.payment_methods.create(
        {"type": "card", "card": card, "billing_details": holder, "metadata": {"first": "yes"}}
    )
    assert (made.card.exp_month, made.card.exp_year, made.card.last4) == (3, 2031, "4242")
    api.payment_methods.attach(made.id, {"customer": alice.id})
    changes = {"card": {"exp_month": 4, "exp_year": 2032}, "billing_details": {"name": "Ann B."}}
    api.payment_methods.update(made.id, {**changes, "metadata": {"second": "yes"}})
    charge = charged(api, alice, made)
    assert (charge.payment_method_details.card.exp_month, charge.payment_method_details.card.exp_year) == (4, 2032)
    assert (charge.billing_details.name, charge.billing_details.email) == ("Ann B.", "ann@example.com")
    assert api.payment_methods.retrieve(made.id).metadata.to_dict() == {"first": "yes", "second": "yes"}


def charged(api: Any, customer: Any, method: Any) -> Any:
    """The charge of a payment by this method."""
    terms = {"amount": 500, "currency": "usd", "customer": customer.id, "confirm": True}
    paid = api.payment_intents.create({**terms, "payment_method": method.id})
    return api.charges.retrieve(paid.latest_charge)


def test_a_card_can_come_by_its_token(api: Any, alice: Any) -> None:
    made = api.payment_methods.create({"type": "card", "card": {"token": "tok_mastercard"}})
    assert charged(api, alice, made).payment_method_details.card.brand == "mastercard"


def test_a_bank_account_comes_by_its_iban(api: Any) -> None:
    made = api.payment_methods.create(
        {
            "type": "sepa_debit",
            "sepa_debit": {"iban": "AT611904300234573201"},
            "billing_details": {"name": "Ada", "email": "ada@example.com"},
        }
    )
    assert (made.sepa_debit.country, made.sepa_debit.last4) == ("AT", "3201")


def test_customers_and_their_cards_are_found(api: Any, bob: Any) -> None:
    named = api.customers.create({"email": "very.own@example.com"})
    clock = api.test_helpers.test_clocks.create({"frozen_time": 1_800_000_000})
    frozen = api.customers.create({"test_clock": clock.id})
    assert [one.id for one in api.customers.list({"email": "very.own@example.com"}).data] == [named.id]
    assert [one.id for one in api.customers.list({"test_clock": clock.id}).data] == [frozen.id]
    cards = {"customer": bob.id, "type": "card"}
    assert len(api.payment_methods.list(cards).data) == 1
    assert api.payment_methods.list(cards | {"type": "sepa_debit"}).data == []
    assert len(api.customers.payment_methods.list(bob.id, {"type": "card"}).data) == 1
    assert api.customers.payment_methods.list(bob.id, {"type": "sepa_debit"}).data == []


def test_a_setup_intent_keeps_a_card(api: Any, alice: Any, bob: Any) -> None:
    words = {"description": "for later", "metadata": {"a": "1"}}
    waits = api.setup_intents.create({"allowed_payment_method_types": ["card"], **words})
    assert (waits.status, waits.payment_method_types) == ("requires_payment_method", ["card"])
    changed = api.setup_intents.update(
        waits.id, {"customer": alice.id, "description": "now", "metadata": {"b": "2"}}
    )
    assert (changed.description, changed.metadata.to_dict()) == ("now", {"a": "1", "b": "2"})
    done = api.setup_intents.confirm(waits.id, {"payment_method": "pm_card_visa"})
    assert (done.status, api.payment_methods.retrieve(done.payment_method).customer) == ("succeeded", alice.id)
    assert [one.id for one in api.setup_intents.list({"customer": alice.id}).data] == [waits.id]
    found = api.setup_intents.list({"payment_method": done.payment_method}).data
    assert [one.id for one in found] == [waits.id]
    other = api.setup_intents.create({"customer": bob.id})
    cancelled = api.setup_intents.cancel(other.id, {"cancellation_reason": "abandoned"})
    assert (cancelled.status, cancelled.cancellation_reason) == ("canceled", "abandoned")


def test_a_setup_intent_takes_types_before_endive(sandbox: Sandbox) -> None:
    asked = {"payment_method_types[0]": "sepa_debit"}
    made = sandbox.post("/v1/setup_intents", asked, Stripe_Version="2026-08-26.dahlia").json()
    assert made["payment_method_types"] == ["sepa_debit"]


def test_an_address_can_be_taken_away(api: Any) -> None:
    made = api.customers.create({"address": HOME, "shipping": {"name": "Ann", "address": HOME}})
    changed = api.customers.update(made.id, {"address": "", "shipping": ""})
    assert (changed.address, changed.shipping) == (None, None)
