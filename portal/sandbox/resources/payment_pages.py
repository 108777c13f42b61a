"""The private calls with which Stripe's own CLI completes a checkout session."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.api.operations import operation
from portal.sandbox.domain.checkout import sessions
from portal.sandbox.domain.payments import payment_methods

Json = dict[str, Any]


@operation("GET", "/v1/payment_pages/{session}")
def retrieve(account: Account, params: Json, session: str) -> Json:
    found = account.find("checkout.session", session)
    return {"id": session, "object": "payment_page", "session_id": session, "livemode": found["livemode"]}


@operation(
    "POST",
    "/v1/payment_pages/{session}/confirm",
    takes={"payment_method!": "s", "expected_amount": "i", "eid": "s"},
)
def confirm(account: Account, params: Json, session: str) -> Json:
    found = account.find("checkout.session", session)
    expected = params.get("expected_amount")
    if expected is not None and expected != found["amount_total"]:
        raise StripeError("The amount of this session has changed.", param="expected_amount")
    method = payment_methods.method_of(account, params["payment_method"])
    billing = method["billing_details"]
    return sessions.pay(account, found, method, {"email": billing["email"], "name": billing["name"]})
