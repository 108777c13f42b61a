"""The billing portal: everything about a customer on one page, or the one action of a flow."""

from typing import Any

from flask import Response, abort
from werkzeug.wrappers import Response as Answer

from portal.sandbox.account import Account
from portal.sandbox.domain.invoices import previews
from portal.sandbox.domain.pricing import currencies, tax_rates, taxes
from portal.sandbox.domain.subscriptions import subscription_items
from portal.sandbox.pages import forms
from portal.sandbox.pages.base import account_of, go, page, pages
from portal.sandbox.resources.customers import RUNNING

Json = dict[str, Any]
REASONS = {
    "customer_service": "Customer service was less than expected",
    "low_quality": "Quality was less than expected",
    "missing_features": "I need more features",
    "other": "Other reason",
    "switched_service": "I found an alternative",
    "too_complex": "Ease of use was less than expected",
    "too_expensive": "It's too expensive",
    "unused": "I no longer need it",
}


@pages.get("/b/session/<session_id>")
def show_portal(session_id: str) -> Response:
    account, session = opened(session_id)
    return home(account, session, {}, {})


def home(account: Account, session: Json, typed: Any, wrong: Json, status: int = 200) -> Response:
    """Render the portal, or the part that the session's flow is about."""
    customer = account.find("customer", session["customer"])
    flow = session["flow"] or {"type": None}
    after = (flow.get("after_completion") or {}).get("redirect") or {}
    return page(
        "portal.html",
        status,
        (session["return_url"], after.get("return_url")),
        session=session,
        flow=flow["type"],
        features=features(account, session),
        customer=customer,
        cards=cards(account, customer),
        default=customer["invoice_settings"]["default_payment_method"],
        subscriptions=plans(account, session, customer),
        product=lambda item: account.find("product", item["price"]["product"])["name"],
        change=change(account, session) if flow["type"] == "subscription_update_confirm" else None,
        invoices=invoices(account, customer),
        tax_ids=taxes.of(account, customer["id"]),
        tax_types=taxes.OFFERED,
        countries=forms.COUNTRIES,
        reasons=REASONS,
        typed=typed,
        wrong=wrong,
    )


def features(account: Account, session: Json) -> Json:
    """Return what the session's configuration allows a customer to do."""
    found: Json = account.find("billing_portal.configuration", session["configuration"])["features"]
    return found


def require(account: Account, session: Json, feature: str) -> Json:
    """Return the feature, or raise 404 if the configuration disables it."""
    found: Json = features(account, session)[feature]
    if not found["enabled"]:
        abort(404)
    return found


def cards(account: Account, customer: Json) -> list[Json]:
    """Return a customer's payment methods, newest first."""
    mine = "json_extract(json, '$.customer') = ?"
    return account.store.select(account.mode, "payment_method", mine, customer["id"])


def plans(account: Account, session: Json, customer: Json) -> list[Json]:
    """Return the page's subscriptions, with the day of their renewal or end."""
    found = account.store.select(account.mode, "subscription", RUNNING, customer["id"])
    about = subject(session)
    chosen = [localized(one) for one in found if about in (None, one["id"])]
    return [one | {"ends": one["cancel_at"], "period_end": subscription_items.period_end(one)} for one in chosen]


def localized(subscription: Json) -> Json:
    """Return a subscription with its items' prices in its own currency."""
    items = [in_currency(item, subscription) for item in subscription["items"]["data"]]
    return subscription | {"items": subscription["items"] | {"data": items}}


def in_currency(item: Json, subscription: Json) -> Json:
    """Return an item with its price in a subscription's currency."""
    return item | {"price": currencies.within(item["price"], subscription["currency"])}


def subject(session: Json) -> str | None:
    """Return the subscription that a flow is about."""
    flow = session["flow"] or {"type": ""}
    details = flow.get(flow["type"]) or {}
    id_: str | None = details.get("subscription")
    return id_


def invoices(account: Account, customer: Json) -> list[Json]:
    """Return the newest invoices that a customer may see."""
    mine = "json_extract(json, '$.customer') = ? AND json_extract(json, '$.status') <> 'draft'"
    return account.store.select(account.mode, "invoice", mine, customer["id"], limit=24)


def change(account: Account, session: Json) -> Json:
    """Return the plan change that a flow asks to confirm: the new items and their cost today."""
    subscription = account.find("subscription", str(subject(session)))
    items = wanted(account, session)
    terms = {"proration_behavior": features(account, session)["subscription_update"]["proration_behavior"]}
    with account.store.transaction():
        shown = previews.preview(account, None, subscription, items, terms)
    today = shown["billing_reason"] == "subscription_update"
    found = tax_rates.shown(account, shown["total_taxes"]) if today else []
    priced = [in_currency(item, subscription) for item in items]
    return {"items": priced, "today": shown["amount_due"] if today else 0, "invoice": shown, "taxes": found}


def wanted(account: Account, session: Json) -> list[Json]:
    """Return the items of a flow's change, with their prices."""
    items = session["flow"]["subscription_update_confirm"]["items"]
    return [item | {"price": account.find("price", item["price"])} for item in items]


def finished(session: Json) -> Answer:
    """Redirect from a finished flow: to the portal, to the flow's URL, or to a confirmation."""
    completion = (session["flow"] or {}).get("after_completion") or {}
    if completion.get("type") == "redirect":
        return go(str(completion["redirect"]["return_url"]))
    if completion.get("type") == "hosted_confirmation":
        return go(f"/b/session/{session['id']}/done")
    return go(f"/b/session/{session['id']}")


@pages.get("/b/session/<session_id>/done")
def portal_done(session_id: str) -> Response:
    _, session = opened(session_id)
    asked = (session["flow"] or {}).get("after_completion") or {}
    words = (asked.get("hosted_confirmation") or {}).get("custom_message") or "Your change has been saved."
    return page("message.html", heading="Done", words=words)


def opened(session_id: str) -> tuple[Account, Json]:
    """Return the portal session of a URL, or raise 404."""
    account = account_of(session_id)
    session = account.get(session_id) or {}
    if session.get("object") != "billing_portal.session":
        abort(404)
    return account, session
