"""The account's own money: a balance transaction for whatever comes in or goes out. The sandbox takes no fees."""

from typing import Any

from portal.sandbox.account import Account

Json = dict[str, Any]
KIND = "balance_transaction"
TYPES = {"dispute": "adjustment", "dispute_reversal": "adjustment"}  # the others are named as their category is
TOTALS = """
SELECT json_extract(json, '$.currency'), sum(json_extract(json, '$.net'))
FROM objects WHERE mode = ? AND type = 'balance_transaction' GROUP BY 1
"""


def book(account: Account, category: str, source: Json, amount: int) -> Json:
    """Write down what a charge, refund or dispute brings or takes (minor units, signed); category is Stripe's."""
    fields = {
        "amount": amount,
        "available_on": account.now(),
        "balance_type": "payments",
        "currency": source["currency"],
        "net": amount,
        "reporting_category": category,
        "source": source["id"],
        "status": "available",
        "type": TYPES.get(category, category),
    }
    return account.add(KIND, fields)


def available(account: Account) -> dict[str, int]:
    """What there is, in minor units by currency."""
    return dict(account.store.rows(TOTALS, account.mode))
