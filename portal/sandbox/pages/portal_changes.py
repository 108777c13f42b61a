"""Actions in the billing portal: cancel, resume, confirm a change, change cards and details."""

from typing import Any

from flask import Response, abort, request
from werkzeug.wrappers import Response as Answer

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.payments import payment_methods
from portal.sandbox.domain.pricing import taxes
from portal.sandbox.domain.subscriptions import cancellation, subscription_items, updates
from portal.sandbox.domain.subscriptions.schedules import lifecycle
from portal.sandbox.pages import forms
from portal.sandbox.pages.base import go, pages
from portal.sandbox.pages.portal import REASONS, finished, home, opened, require, subject, wanted
from portal.sandbox.resources.customers import RUNNING

Json = dict[str, Any]
UPDATED = "customer.subscription.updated"


@pages.post("/b/session/<session_id>/cancel/<subscription_id>")
def cancel(session_id: str, subscription_id: str) -> Answer:
    """Cancel in the portal, which sets cancel_at and leaves cancel_at_period_end false, unlike the API."""
    account, session = opened(session_id)
    feature = require(account, session, "subscription_cancel")
    with account.store.transaction():
        subscription = own(account, session, subscription_id)
        words = reason()
        if feature["mode"] == "immediately":
            cancellation.cancel(account, subscription, feature["proration_behavior"] != "none", False, words)
        else:
            cancel_later(account, subscription, words)
    return finished(session)


def cancel_later(account: Account, subscription: Json, words: Json) -> None:
    """Cancel at the end of the period, and drop a scheduled change."""
    if subscription["schedule"]:
        lifecycle.release(account, account.find(lifecycle.KIND, subscription["schedule"]))
        subscription = account.find("subscription", subscription["id"])
    changes = cancellation.scheduled(account, subscription, None, subscription_items.period_end(subscription))
    changes["cancellation_details"] |= words
    account.change(subscription, changes, UPDATED)


def reason() -> Json:
    """Return the cancellation's reason as Stripe's code, and the comment."""
    feedback = request.form.get("feedback")
    comment = request.form.get("comment", "").strip()
    given = {"feedback": feedback if feedback in REASONS else None, "comment": comment or None}
    return {name: value for name, value in given.items() if value}


@pages.post("/b/session/<session_id>/resume/<subscription_id>")
def resume(session_id: str, subscription_id: str) -> Answer:
    account, session = opened(session_id)
    require(account, session, "subscription_cancel")
    with account.store.transaction():
        subscription = own(account, session, subscription_id)
        account.change(subscription, cancellation.scheduled(account, subscription, False, None), UPDATED)
    return go(f"/b/session/{session_id}")


@pages.post("/b/session/<session_id>/confirm")
def confirm(session_id: str) -> Response | Answer:
    """Make the change that the flow asked to confirm."""
    account, session = opened(session_id)
    feature = require(account, session, "subscription_update")
    if (session["flow"] or {}).get("type") != "subscription_update_confirm":
        abort(404)
    terms = {"proration_behavior": feature["proration_behavior"], "payment_behavior": "error_if_incomplete"}
    try:
        with account.store.transaction():
            subscription = own(account, session, str(subject(session)))
            updates.change(account, subscription, wanted(account, session), {}, terms)
    except StripeError as error:
        return home(account, session, {}, {"confirm": str(error)}, 402)
    return finished(session)


@pages.post("/b/session/<session_id>/card")
def change_card(session_id: str) -> Response | Answer:
    account, session = opened(session_id)
    require(account, session, "payment_method_update")
    wrong = forms.problems(request.form)
    if wrong:
        return home(account, session, request.form, wrong, 422)
    try:
        with account.store.transaction():
            customer = account.find("customer", session["customer"])
            method = forms.method(account, request.form, customer["email"])
            become_default(account, customer, payment_methods.attach(account, method, customer))
    except StripeError as error:
        field, words = forms.explain(error)
        return home(account, session, request.form, {field: words}, 402)
    return finished(session)


def become_default(account: Account, customer: Json, method: Json) -> None:
    """Make the new card the default for everything."""
    settings = customer["invoice_settings"] | {"default_payment_method": method["id"]}
    account.change(customer, {"invoice_settings": settings}, "customer.updated")
    for subscription in account.store.select(account.mode, "subscription", RUNNING, customer["id"]):
        if subscription["default_payment_method"]:
            account.change(subscription, {"default_payment_method": method["id"]}, UPDATED)


@pages.post("/b/session/<session_id>/card/<method_id>/remove")
def remove_card(session_id: str, method_id: str) -> Answer:
    account, session = opened(session_id)
    require(account, session, "payment_method_update")
    method = account.get(method_id) or {}
    if method.get("object") != "payment_method" or method["customer"] != session["customer"]:
        abort(404)
    with account.store.transaction():
        payment_methods.detach(account, method)
    return go(f"/b/session/{session_id}")


@pages.post("/b/session/<session_id>/details")
def change_details(session_id: str) -> Response | Answer:
    account, session = opened(session_id)
    feature = require(account, session, "customer_update")
    wrong = forms.contact_problems(request.form, with_email="email" in feature["allowed_updates"])
    if wrong:
        return home(account, session, request.form, wrong, 422)
    typed = forms.buyer(request.form, None, with_address=True)
    changes = {name: typed[name] for name in ("email", "name", "address") if name in feature["allowed_updates"]}
    with account.store.transaction():
        customer = account.find("customer", session["customer"])
        account.change(customer, changes, "customer.updated")
        if typed.get("tax_id") and "tax_id" in feature["allowed_updates"]:
            taxes.add(account, customer, typed["tax_id"]["type"], typed["tax_id"]["value"])
    return finished(session)


def own(account: Account, session: Json, subscription_id: str) -> Json:
    """Return a subscription of the session's customer, or raise 404."""
    found = account.get(subscription_id) or {}
    if found.get("object") != "subscription" or found["customer"] != session["customer"]:
        abort(404)
    return found
