"""The account's own balance: a balance transaction for each incoming or outgoing amount, with its fee.

A charge costs 2.9% and 30 cents, which a refund doesn't return, and a dispute 15 dollars:
https://stripe.com/pricing and https://docs.stripe.com/disputes.
"""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.domain.pricing.amounts import ZERO_DECIMAL

Json = dict[str, Any]
KIND = "balance_transaction"
TYPES = {"dispute": "adjustment", "dispute_reversal": "adjustment"}  # the others are named after their category
TOTALS = """
SELECT json_extract(json, '$.currency'), sum(json_extract(json, '$.net'))
FROM objects WHERE mode = ? AND type = 'balance_transaction' GROUP BY 1
"""


SHARE, EACH, DISPUTED = Decimal("0.029"), 30, 1500


def fees(category: str, amount: int, currency: str) -> list[Json]:
    """Return the fees of a transaction, as its fee_details; amount is in minor units, signed."""
    whole = currency in ZERO_DECIMAL  # the fixed parts are in cents
    if category == "charge":
        words = "Stripe processing fees"
        fee = int((amount * SHARE).quantize(Decimal(1), ROUND_HALF_UP)) + (0 if whole else EACH)
    elif category == "dispute":
        words, fee = "Dispute fee", DISPUTED // 100 if whole else DISPUTED
    else:
        return []
    return [{"amount": fee, "application": None, "currency": currency, "description": words, "type": "stripe_fee"}]


def book(account: Account, category: str, source: Json, amount: int) -> Json:
    """Record a charge, refund or dispute (minor units, signed); category is Stripe's."""
    taken = fees(category, amount, source["currency"])
    fee = sum(one["amount"] for one in taken)
    fields = {
        "amount": amount,
        "fee": fee,
        "fee_details": taken,
        "available_on": account.now(),
        "balance_type": "payments",
        "currency": source["currency"],
        "net": amount - fee,
        "reporting_category": category,
        "source": source["id"],
        "status": "available",
        "type": TYPES.get(category, category),
    }
    return account.add(KIND, fields)


def available(account: Account) -> dict[str, int]:
    """Return the available amounts, in minor units by currency."""
    return dict(account.store.rows(TOTALS, account.mode))
