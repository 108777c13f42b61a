"""Charges without a payment intent, as accounts have them from before payment intents.

An invoice is then paid by the charge itself (https://docs.stripe.com/api/invoice-payment/object: `payment.type`).
"""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError

Json = dict[str, Any]


def detach(account: Account, intent_id: str) -> Json:
    """Make the charge of an invoice's payment one that never had a payment intent. Raises StripeError."""
    intent = account.find("payment_intent", intent_id)
    where = "json_extract(json, '$.payment.payment_intent') = ?"
    ties = account.store.select(account.mode, "invoice_payment", where, intent_id)
    if intent["status"] != "succeeded" or not ties:
        raise StripeError("This payment intent paid no invoice.")
    charge = account.find("charge", intent["latest_charge"])
    for tie in ties:
        account.change(tie, {"payment": {"type": "charge", "charge": charge["id"]}})
    return account.change(charge, {"payment_intent": None})
