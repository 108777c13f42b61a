"""A payload as it is shown: nobody's name, address or secret in it, however deep."""

import orjson

from portal.webhooks import hints, masking

SOMEBODY = "Pat O'Brien"
THING = {
    "id": "in_1",
    "object": "invoice",
    "customer": "cus_1",
    "metadata": {"portal_mode": "live"},
    "amount_paid": 4999,
    "customer_name": SOMEBODY,
    "customer_email": "pat.o'brien@example.com",
    "customer_address": {"line1": "1 Main St", "city": "Cork"},
    "customer_tax_ids": [{"type": "eu_vat", "value": "IE1234567A"}],
    "customer_details": {
        "business_name": SOMEBODY,
        "individual_name": SOMEBODY,
        "tax_ids": [{"value": "IE12345"}],
    },
    "evidence": {
        "billing_address": "1 Main St",
        "shipping_address": "1 Main St",
        "customer_purchase_ip": "1.2.3.4",
    },
    "payment_method_details": {"ideal": {"verified_name": SOMEBODY}, "eps": {"account_holder_name": SOMEBODY}},
    "collected_information": {"shipping_details": {"name": SOMEBODY, "address": {"line1": "1 Main St"}}},
    "custom_fields": [{"key": "pet", "text": {"value": SOMEBODY}}],
    "confirmation_secret": {"client_secret": "pi_1_secret_x"},
    "hosted_invoice_url": "https://invoice.stripe.com/i/open_to_all",
    "invoice_pdf": "https://pay.stripe.com/invoice/open_to_all/pdf",
    "receipt_url": "https://pay.stripe.com/receipts/open_to_all",
    "last_payment_error": {"message": "pat.obrien@example.com may not pay with sk_live_abc123"},
}
EVENT = {"id": "evt_1", "type": "invoice.paid", "livemode": True, "created": 1, "data": {"object": THING}}
TELLING = (SOMEBODY, "pat.", "Main St", "Cork", "IE12345", "1.2.3.4", "_secret_x", "open_to_all", "sk_live")


def test_nothing_personal_or_secret_is_left_and_what_it_is_about_is() -> None:
    shown = masking.masked(orjson.dumps(EVENT).decode())
    assert [word for word in TELLING if word in shown] == []
    assert '"p…@example.com"' in shown
    assert '"amount_paid": 4999' in shown
    # The events of who deleted their account are kept like this, and can still be handled.
    assert hints.parse(shown.encode()) == hints.parse(orjson.dumps(EVENT))
