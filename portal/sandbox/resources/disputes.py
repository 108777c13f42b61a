"""Disputes."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api import lists
from portal.sandbox.api.operations import operation
from portal.sandbox.domain.payments import disputes
from portal.sandbox.resources.common import changed, given

Json = dict[str, Any]


@operation("GET", "/v1/disputes/{dispute}")
def retrieve(account: Account, params: Json, dispute: str) -> Json:
    return account.find("dispute", dispute)


@operation("POST", "/v1/disputes/{dispute}")
def update(account: Account, params: Json, dispute: str) -> Json:
    found = account.find("dispute", dispute)
    if "metadata" in params:
        account.change(found, changed(found, {"metadata": params["metadata"]}), "charge.dispute.updated")
    evidence = given(params.get("evidence") or {})
    if not evidence and not params.get("submit"):
        return found
    return disputes.answer(account, found, evidence, params.get("submit") is not False)


@operation("POST", "/v1/disputes/{dispute}/close")
def close(account: Account, params: Json, dispute: str) -> Json:
    found = account.find("dispute", dispute)
    disputes.require_open(found)
    return disputes.close(account, found, "lost")


@operation("GET", "/v1/disputes")
def index(account: Account, params: Json) -> Json:
    filters = {"$.charge": params.get("charge"), "$.payment_intent": params.get("payment_intent")}
    return lists.page(account, "dispute", params, "/v1/disputes", filters)
