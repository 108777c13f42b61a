"""A customer's default currency, and their balance in each currency: credit of the customer is negative. Each
change of a balance is a transaction.

https://docs.stripe.com/billing/customer/balance and
https://docs.stripe.com/invoicing/multi-currency-customers
"""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError

Json = dict[str, Any]
KIND = "customer_balance_transaction"
ONGOING = ("trialing", "active", "past_due", "unpaid", "paused", "incomplete")


def of(customer: Json, currency: str) -> int:
    """Return a customer's balance in a currency, in minor units."""
    if customer["currency"] in (None, currency):
        return int(customer["balance"])
    return int(customer["_"].get("balances", {}).get(currency, 0))


def change(
    account: Account, customer: Json, amount: int, type_: str, fields: Json, currency: str | None = None
) -> Json | None:
    """Add an amount (minor units, signed) to a customer's balance in a currency (None: their own); type_ is
    Stripe's. Returns None for an amount of 0.
    """
    if not amount:
        return None
    currency = currency or customer["currency"] or "usd"
    ending = of(customer, currency) + amount
    if customer["currency"] in (None, currency):
        account.change(customer, {"balance": ending}, "customer.updated")
    else:
        balances = customer["_"].get("balances", {}) | {currency: ending}
        account.change(customer, {"_": customer["_"] | {"balances": balances}})
    defaults = {
        "amount": amount,
        "currency": currency,
        "customer": customer["id"],
        "ending_balance": ending,
        "metadata": {},
        "type": type_,
    }
    return account.add(KIND, defaults | fields)


def shown(customer: Json) -> dict[str, int]:
    """Return a customer's balances as invoice_credit_balance: here credit of the customer is positive."""
    own = {customer["currency"]: customer["balance"]} if customer["currency"] else {}
    return {name: -amount for name, amount in (own | customer["_"].get("balances", {})).items()}


def learn(account: Account, customer: Json, currency: str) -> None:
    """Make the currency of the first invoice, invoice item or subscription the customer's own."""
    if customer["currency"] is None:
        account.change(customer, {"currency": currency}, "customer.updated")


def adopt(account: Account, customer: Json, currency: str) -> None:
    """Make a new subscription's currency the customer's own. Raises StripeError while another subscription uses
    another currency.

    https://support.stripe.com/questions/setting-a-customers-default-currency
    """
    before = customer["currency"]
    if before in (None, currency):
        learn(account, customer, currency)
        return
    mine = "json_extract(json, '$.customer') = ? AND json_extract(json, '$.currency') != ?"
    for other in account.store.select(account.mode, "subscription", mine, customer["id"], currency):
        if other["status"] in ONGOING:
            words = (
                "You cannot combine currencies on a single customer. This customer has an active subscription, "
            )
            words += f"subscription schedule, discount, quote, or invoice item with currency {other['currency']}"
            raise StripeError(words)
    balances = customer["_"].get("balances", {}) | {before: customer["balance"]}
    kept = {"currency": currency, "balance": balances.pop(currency, 0)}
    account.change(customer, {"_": customer["_"] | {"balances": balances}})
    account.change(customer, kept, "customer.updated")
