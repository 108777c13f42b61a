"""A customer's balance with the account: what is owed to the customer is negative. Each change is a transaction.

https://docs.stripe.com/billing/customer/balance
"""

from typing import Any

from portal.sandbox.account import Account

Json = dict[str, Any]
KIND = "customer_balance_transaction"


def change(account: Account, customer: Json, amount: int, type_: str, fields: Json) -> Json | None:
    """Add an amount (minor units, signed) to a customer's balance; type_ is Stripe's. None for an amount of 0."""
    if not amount:
        return None
    ending = customer["balance"] + amount
    account.change(customer, {"balance": ending}, "customer.updated")
    defaults = {
        "amount": amount,
        "currency": customer["currency"] or "usd",
        "customer": customer["id"],
        "ending_balance": ending,
        "metadata": {},
        "type": type_,
    }
    return account.add(KIND, defaults | fields)
