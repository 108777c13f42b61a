"""The billing portal: cancel, resume, another card, invoices."""

from typing import Any

from flask import Response, abort, request
from werkzeug.wrappers import Response as Answer

from portal.sandbox import ending, payments, subscribing
from portal.sandbox.account import Account
from portal.sandbox.errors import StripeError
from portal.sandbox.pages import forms
from portal.sandbox.pages.base import account_of, go, page, pages
from portal.sandbox.resources.customers import RUNNING

Json = dict[str, Any]


@pages.get("/b/session/<session_id>")
def show_portal(session_id: str) -> Response:
    account, session = opened(session_id)
    return home(account, session, {}, {})


def home(account: Account, session: Json, typed: Any, wrong: Json, status: int = 200) -> Response:
    """Everything on one page; a flow for one thing alone shows that thing first."""
    customer = account.find("customer", session["customer"])
    default = account.get(customer["invoice_settings"]["default_payment_method"])
    mine = "json_extract(json, '$.customer') = ?"
    subscriptions = account.store.select(account.mode, "subscription", RUNNING, customer["id"])
    invoices = account.store.select(account.mode, "invoice", mine, customer["id"], limit=24)
    used = (account.get(s["default_payment_method"]) for s in subscriptions)
    return page(
        "portal.html",
        status,
        (session["return_url"],),
        session=session,
        customer=customer,
        method=default or next((m for m in used if m), None),
        subscriptions=[s | {"ends": ends(s), "period_end": subscribing.period_end(s)} for s in subscriptions],
        product=lambda item: account.find("product", item["price"]["product"])["name"],
        invoices=[i for i in invoices if i["status"] != "draft"],
        typed=typed,
        wrong=wrong,
    )


def ends(subscription: Json) -> int | None:
    """When a subscription that was cancelled will end."""
    if subscription["cancel_at_period_end"]:
        return subscribing.period_end(subscription)
    moment: int | None = subscription["cancel_at"]
    return moment


@pages.post("/b/session/<session_id>/cancel/<subscription_id>")
def cancel(session_id: str, subscription_id: str) -> Answer:
    """A portal's cancellation sets cancel_at and leaves cancel_at_period_end false, unlike the API's."""
    account, session = opened(session_id)
    with account.store.transaction():
        subscription = own(account, session, subscription_id)
        end = subscribing.period_end(subscription)
        changes = ending.scheduled(account, subscription, None, end)
        account.change(subscription, changes, "customer.subscription.updated")
    return go(after(session))


@pages.post("/b/session/<session_id>/resume/<subscription_id>")
def resume(session_id: str, subscription_id: str) -> Answer:
    account, session = opened(session_id)
    with account.store.transaction():
        subscription = own(account, session, subscription_id)
        changes = ending.scheduled(account, subscription, False, None)
        account.change(subscription, changes, "customer.subscription.updated")
    return go(f"/b/session/{session_id}")


@pages.post("/b/session/<session_id>/card")
def change_card(session_id: str) -> Response | Answer:
    account, session = opened(session_id)
    wrong = forms.problems(request.form)
    if wrong:
        return home(account, session, request.form, wrong, 422)
    try:
        with account.store.transaction():
            customer = account.find("customer", session["customer"])
            method = forms.method(account, request.form, customer["email"])
            become_default(account, customer, payments.attach(account, method, customer))
    except StripeError as error:
        field, words = forms.explain(error)
        return home(account, session, request.form, {field: words}, 402)
    return go(after(session))


def become_default(account: Account, customer: Json, method: Json) -> None:
    """The new card pays for everything from now on."""
    settings = customer["invoice_settings"] | {"default_payment_method": method["id"]}
    account.change(customer, {"invoice_settings": settings}, "customer.updated")
    for subscription in account.store.select(account.mode, "subscription", RUNNING, customer["id"]):
        if subscription["default_payment_method"]:
            changes = {"default_payment_method": method["id"]}
            account.change(subscription, changes, "customer.subscription.updated")


def after(session: Json) -> str:
    """Where a finished flow leads: back to the portal, or where the flow says."""
    completion = (session["flow"] or {}).get("after_completion") or {}
    if completion.get("type") == "redirect":
        return str(completion["redirect"]["return_url"])
    return f"/b/session/{session['id']}"


def own(account: Account, session: Json, subscription_id: str) -> Json:
    """A subscription of the session's customer, or 404."""
    found = account.get(subscription_id) or {}
    if found.get("object") != "subscription" or found["customer"] != session["customer"]:
        abort(404)
    return found


def opened(session_id: str) -> tuple[Account, Json]:
    """The portal session of an address, or 404."""
    account = account_of(session_id)
    session = account.get(session_id) or {}
    if session.get("object") != "billing_portal.session":
        abort(404)
    return account, session
