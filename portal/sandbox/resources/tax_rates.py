"""Tax rates."""

from decimal import Decimal
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api import lists
from portal.sandbox.api.errors import StripeError
from portal.sandbox.api.operations import operation
from portal.sandbox.domain.pricing.tax_rates import KIND
from portal.sandbox.resources.common import changed, given

Json = dict[str, Any]


@operation("POST", "/v1/tax_rates")
def create(account: Account, params: Json) -> Json:
    params = given(params)
    percentage = Decimal(params["percentage"])
    if not 0 <= percentage <= 100 or percentage != round(percentage, 4):
        words = "Invalid percentage: must be between 0 and 100, with at most 4 decimal places."
        raise StripeError(words, param="percentage")
    exact = float(percentage)
    fields = {"active": True, "metadata": {}, "rate_type": "percentage"} | params
    return account.add(KIND, fields | {"effective_percentage": exact, "percentage": exact}, "tax_rate.created")


@operation("GET", "/v1/tax_rates/{tax_rate}")
def retrieve(account: Account, params: Json, tax_rate: str) -> Json:
    return account.find(KIND, tax_rate)


@operation("POST", "/v1/tax_rates/{tax_rate}")
def update(account: Account, params: Json, tax_rate: str) -> Json:
    found = account.find(KIND, tax_rate)
    return account.change(found, changed(found, params), "tax_rate.updated")


@operation("GET", "/v1/tax_rates")
def index(account: Account, params: Json) -> Json:
    filters = {"$.active": params.get("active"), "$.inclusive": params.get("inclusive")}
    return lists.page(account, KIND, params, "/v1/tax_rates", filters)
