"""The account's balance and its transactions."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api import lists
from portal.sandbox.api.operations import operation
from portal.sandbox.domain.payments import balance_transactions

Json = dict[str, Any]


@operation("GET", "/v1/balance")
def balance(account: Account, params: Json) -> Json:
    found = balance_transactions.available(account) or {"usd": 0}
    return {
        "object": "balance",
        "available": [_funds(total, currency) for currency, total in found.items()],
        "livemode": account.mode == "live",
        "pending": [_funds(0, currency) for currency in found],
    }


def _funds(amount: int, currency: str) -> Json:
    return {"amount": amount, "currency": currency, "source_types": {"card": amount}}


@operation("GET", "/v1/balance_transactions/{id}")
def retrieve(account: Account, params: Json, id: str) -> Json:
    return account.find(balance_transactions.KIND, id)


@operation("GET", "/v1/balance_transactions")
def index(account: Account, params: Json) -> Json:
    filters = {f"$.{name}": params.get(name) for name in ("currency", "source", "type")}
    return lists.page(account, balance_transactions.KIND, params, "/v1/balance_transactions", filters)
