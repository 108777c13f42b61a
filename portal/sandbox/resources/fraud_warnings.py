"""Early fraud warnings."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api import lists
from portal.sandbox.api.operations import operation
from portal.sandbox.domain.payments.fraud_warnings import KIND

Json = dict[str, Any]
PATH = "/v1/radar/early_fraud_warnings"


@operation("GET", PATH + "/{early_fraud_warning}")
def retrieve(account: Account, params: Json, early_fraud_warning: str) -> Json:
    return account.find(KIND, early_fraud_warning)


@operation("GET", PATH)
def index(account: Account, params: Json) -> Json:
    filters = {"$.charge": params.get("charge"), "$.payment_intent": params.get("payment_intent")}
    return lists.page(account, KIND, params, PATH, filters)
