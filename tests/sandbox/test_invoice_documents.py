"""What an invoice says: its number, its dates, its texts, and its PDF.

https://docs.stripe.com/api/invoices/create
"""

import re
import time
import zlib
from typing import Any

import pytest
import stripe

from tests.sandbox import hosted

DAY = 86400
FEBRUARY = 1_769_990_400  # 2 February 2026, 00:00 UTC
PLACE = {"line1": "1 Main St", "city": "Springfield", "country": "US", "postal_code": "62701", "state": "IL"}


def text_of(pdf: bytes) -> str:
    """The text of a PDF's pages."""
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    return b"\n".join(zlib.decompress(one) for one in streams).decode("latin-1")


def charge_of(api: Any, invoice: Any) -> Any:
    page = api.invoice_payments.list({"invoice": invoice.id, "expand": ["data.payment.payment_intent"]})
    return api.charges.retrieve(page.data[0].payment.payment_intent.latest_charge)


def of_three_dollars(api: Any, customer: Any, **terms: Any) -> Any:
    made = api.invoices.create({"customer": customer.id, **terms})
    api.invoice_items.create({"customer": customer.id, "invoice": made.id, "amount": 300, "currency": "usd"})
    return made


def words() -> dict[str, Any]:
    return {
        "number": "2026-0042",
        "effective_at": FEBRUARY,
        "footer": "Thank you.",
        "custom_fields": [{"name": "Order", "value": "PO-7"}],
        "rendering": {"pdf": {"page_size": "letter"}},
        "shipping_details": {"name": "Bob", "phone": "+15550100", "address": PLACE},
        "statement_descriptor": "PRO PLAN",
    }


def has_the_words(api: Any, invoice: Any) -> None:
    paid = api.invoices.pay(invoice.id)
    assert (paid.number, paid.effective_at) == ("2026-0042", FEBRUARY)
    place = paid.shipping_details
    assert (place.name, place.phone, place.address.city) == ("Bob", "+15550100", "Springfield")
    pdf = hosted.visit(paid.invoice_pdf).response.content
    printed = text_of(pdf)
    assert all(text in printed for text in ("2026-0042", "02 February 2026", "Thank you.", "Order: PO-7"))
    assert b"/MediaBox [0 0 612.00 792.00]" in pdf
    charge = charge_of(api, paid)
    assert (charge.statement_descriptor, charge.calculated_statement_descriptor) == ("PRO PLAN", "PRO PLAN")
    assert api.customers.retrieve(paid.customer).next_invoice_sequence == 1


def test_an_invoice_says_what_it_is_given(api: Any, bob: Any) -> None:
    has_the_words(api, of_three_dollars(api, bob, **words()))


def test_a_draft_is_given_its_texts_later(api: Any, bob: Any) -> None:
    made = of_three_dollars(api, bob)
    has_the_words(api, api.invoices.update(made.id, words()))


def test_an_invoice_is_due_days_after_it_was_made(api: Any, bob: Any) -> None:
    made = of_three_dollars(api, bob, collection_method="send_invoice", days_until_due=7)
    assert made.due_date == made.created + 7 * DAY
    later = api.invoices.update(made.id, {"days_until_due": 9})
    assert api.invoices.finalize_invoice(later.id).due_date == made.created + 9 * DAY


def test_an_invoice_is_not_due_in_the_past(api: Any, bob: Any) -> None:
    made = of_three_dollars(api, bob, collection_method="send_invoice", days_until_due=7)
    past = {"collection_method": "send_invoice", "due_date": int(time.time()) - DAY}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        api.invoices.create({"customer": bob.id, **past})
    assert refused.value.param == "due_date"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        api.invoices.update(made.id, past)
    assert refused.value.param == "due_date"


def test_a_draft_gets_discounts_and_loses_them(api: Any, bob: Any) -> None:
    made = of_three_dollars(api, bob)
    half = api.coupons.create({"percent_off": 50})
    assert api.invoices.update(made.id, {"discounts": [{"coupon": half.id}]}).total == 150
    assert api.invoices.update(made.id, {"discounts": ""}).total == 300
