"""What a subscription's settings give to its invoices and payments."""

from typing import Any

from tests.sandbox.clocked import advance

WORDS = {"footer": "Thank you.", "description": "Monthly", "custom_fields": [{"name": "Order", "value": "PO-7"}]}


def said(invoice: Any) -> tuple[str, str, list[tuple[str, str]]]:
    return invoice.footer, invoice.description, [(one.name, one.value) for one in invoice.custom_fields or []]


def newest(api: Any, subscription: Any) -> Any:
    return api.invoices.list({"subscription": subscription.id, "limit": 1}).data[0]


def test_a_subscriptions_invoices_have_its_texts(api: Any, bob: Any, monthly: Any) -> None:
    terms = {"customer": bob.id, "items": [{"price": monthly.id}], "invoice_settings": WORDS}
    made = api.subscriptions.create({**terms, "expand": ["latest_invoice"]})
    assert said(made.latest_invoice) == ("Thank you.", "Monthly", [("Order", "PO-7")])


def test_texts_are_changed_for_later_invoices(api: Any, carol: Any, clock: Any, monthly: Any) -> None:
    made = api.subscriptions.create({"customer": carol.id, "items": [{"price": monthly.id}]})
    api.subscriptions.update(made.id, {"invoice_settings": WORDS})
    advance(api, clock, days=29)
    assert said(newest(api, made)) == ("Thank you.", "Monthly", [("Order", "PO-7")])


def started(api: Any, clock: Any, monthly: Any, **settings: Any) -> Any:
    """A subscription of somebody without a card, who pays the first invoice with one."""
    erin = api.customers.create({"test_clock": clock.id, "email": "erin@example.com"})
    terms = {"customer": erin.id, "items": [{"price": monthly.id}], "payment_behavior": "default_incomplete"}
    made = api.subscriptions.create({**terms, **settings})
    pay(api, made)
    return made


def pay(api: Any, subscription: Any, card: str = "pm_card_visa") -> str:
    page = api.invoice_payments.list({"invoice": newest(api, subscription).id})
    intent: str = api.payment_intents.confirm(
        page.data[0].payment.payment_intent, {"payment_method": card}
    ).payment_method
    return intent


def test_the_card_that_paid_is_kept_for_renewals(api: Any, clock: Any, monthly: Any) -> None:
    """https://docs.stripe.com/billing/subscriptions/build-subscriptions"""
    saving = {"payment_settings": {"save_default_payment_method": "on_subscription"}}
    kept, lost = started(api, clock, monthly, **saving), started(api, clock, monthly)
    assert api.subscriptions.retrieve(kept.id).default_payment_method is not None
    advance(api, clock, days=29)
    assert api.subscriptions.retrieve(kept.id).status == "active"
    assert api.subscriptions.retrieve(lost.id).status == "past_due"


def test_the_card_of_a_later_payment_is_kept(api: Any, clock: Any, monthly: Any) -> None:
    made = started(api, clock, monthly)
    advance(api, clock, days=29)
    api.subscriptions.update(made.id, {"payment_settings": {"save_default_payment_method": "on_subscription"}})
    card = pay(api, made, "pm_card_amex")
    after = api.subscriptions.retrieve(made.id)
    assert (after.status, after.default_payment_method) == ("active", card)


def test_invoices_offer_the_types_of_their_subscription(api: Any, carol: Any, clock: Any, monthly: Any) -> None:
    terms = {"customer": carol.id, "items": [{"price": monthly.id}]}
    both = {"payment_settings": {"payment_method_types": ["card", "sepa_debit"]}}
    made = api.subscriptions.create({**terms, **both})

    def offered() -> list[str]:
        invoice = newest(api, made)
        found = api.invoice_payments.list({"invoice": invoice.id, "expand": ["data.payment.payment_intent"]})
        types: list[str] = found.data[0].payment.payment_intent.payment_method_types
        assert types == invoice.payment_settings.payment_method_types
        return types

    assert offered() == ["card", "sepa_debit"]
    api.subscriptions.update(made.id, {"payment_settings": {"payment_method_types": ["card"]}})
    advance(api, clock, days=29)
    assert offered() == ["card"]
