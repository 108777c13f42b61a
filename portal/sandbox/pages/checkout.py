"""The hosted checkout: pay, be asked by the bank, go on."""

from typing import Any

from flask import Response, abort, request
from werkzeug.wrappers import Response as Answer

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.checkout import sessions, totals
from portal.sandbox.domain.payments import payment_intents, payment_methods
from portal.sandbox.domain.pricing import amounts, taxes
from portal.sandbox.pages import forms
from portal.sandbox.pages.base import account_of, go, page, pages

Json = dict[str, Any]
BUTTONS = {"payment": "Pay", "subscription": "Subscribe", "setup": "Save card"}


@pages.get("/c/pay/<session_id>")
def show_checkout(session_id: str) -> Response | Answer:
    account, session = opened(session_id)
    if session["status"] != "open":
        return closed(session)
    return form_page(account, session, {}, {})


@pages.post("/c/pay/<session_id>")
def submit_checkout(session_id: str) -> Response | Answer:
    account, session = opened(session_id)
    if session["status"] != "open":
        return closed(session)
    typed = request.form
    fixed = fixed_email(account, session)
    wrong = problems(session, typed, with_email=fixed is None and session["mode"] != "setup")
    if wrong:
        return form_page(account, session, typed, wrong, 422)
    buyer = forms.buyer(typed, fixed, asks_address(session))
    try:
        return attempt(account, session_id, typed, buyer)
    except StripeError as error:
        field, words = forms.explain(error)
        return form_page(account, account.find("checkout.session", session_id), typed, {field: words}, 402)


def attempt(account: Account, session_id: str, typed: Any, buyer: Json) -> Answer:
    """Pay with what was typed, or first ask the cardholder; a second click finds the session finished."""
    with account.store.transaction():
        session = account.find("checkout.session", session_id)
        if session["status"] != "open":
            return go(finished_url(session))
        method = forms.method(account, typed, buyer["email"]) if totals.needs_card(session) else None
        if method and payments_ask(method):
            session["_"]["waiting"] = {"method": method["id"], "buyer": buyer}
            account.save(session)
            return go(f"/c/pay/{session_id}/authenticate")
        return go(finished_url(sessions.pay(account, session, method, buyer)))


def problems(session: Json, typed: Any, with_email: bool) -> dict[str, str]:
    """What is wrong with what was typed, of what this session asks for."""
    found = forms.contact_problems(typed, with_email)
    if asks_address(session):
        found |= forms.address_problems(typed)
    return found | (forms.problems(typed) if totals.needs_card(session) else {})


def asks_address(session: Json) -> bool:
    """Whether the buyer must give an address."""
    return bool(session["billing_address_collection"] == "required" or session["automatic_tax"]["enabled"])


def payments_ask(method: Json) -> bool:
    """Whether the cardholder is asked before anything else happens."""
    return method["type"] == "card" and payment_methods.needs_authentication(method)


@pages.post("/c/pay/<session_id>/promotion")
def submit_promotion(session_id: str) -> Response | Answer:
    """Use a promotion code, or none any more."""
    account, session = opened(session_id)
    if session["status"] != "open":
        return closed(session)
    try:
        with account.store.transaction():
            session = account.find("checkout.session", session_id)
            if request.form.get("remove"):
                totals.remove_code(account, session)
            else:
                totals.apply_code(account, session, request.form.get("promotion_code", ""))
    except StripeError as error:
        found = account.find("checkout.session", session_id)
        return form_page(account, found, request.form, {"promotion_code": str(error)}, 422)
    return go(f"/c/pay/{session_id}")


@pages.get("/c/pay/<session_id>/authenticate")
def show_authentication(session_id: str) -> Response | Answer:
    _, session = opened(session_id)
    if session["status"] != "open" or not session["_"].get("waiting"):
        return go(f"/c/pay/{session_id}")
    return page("authenticate.html", leads_to=(session["success_url"], session["cancel_url"]), session=session)


@pages.post("/c/pay/<session_id>/authenticate")
def submit_authentication(session_id: str) -> Response | Answer:
    account, session = opened(session_id)
    if session["status"] != "open":
        return closed(session)
    waiting = session["_"].get("waiting")
    if not waiting:
        return go(f"/c/pay/{session_id}")
    if request.form.get("answer") != "complete":
        return form_page(account, session, waiting["buyer"], {"number": payment_intents.UNABLE}, 402)
    try:
        return go(finished_url(authenticated(account, session_id, waiting)))
    except StripeError as error:
        field, words = forms.explain(error)
        found = account.find("checkout.session", session_id)
        return form_page(account, found, waiting["buyer"], {field: words}, 402)


def authenticated(account: Account, session_id: str, waiting: Json) -> Json:
    """Pay with the card whose holder has just said yes."""
    with account.store.transaction():
        session = account.find("checkout.session", session_id)
        method = account.find("payment_method", waiting["method"])
        payment_methods.trust(account, method)
        # The card is charged now and never asks twice within one purchase.
        method["_"]["authenticate"] = None if method["_"]["authenticate"] == "once" else "passed"
        paid = sessions.pay(account, session, method, waiting["buyer"])
        if method["_"]["authenticate"] == "passed":
            again = account.find("payment_method", method["id"])
            account.change(again, {"_": again["_"] | {"authenticate": "always"}})
        return paid


def opened(session_id: str) -> tuple[Account, Json]:
    """The session of an address, or 404."""
    account = account_of(session_id)
    session = account.get(session_id) or {}
    if session.get("object") != "checkout.session":
        abort(404)
    return account, session


def fixed_email(account: Account, session: Json) -> str | None:
    """The email that the buyer can't change."""
    customer = account.get(session["customer"]) or {}
    email: str | None = customer.get("email") or session["customer_email"]
    return email


def form_page(account: Account, session: Json, typed: Any, wrong: Json, status: int = 200) -> Response:
    """The checkout form; what was typed stays, apart from the card."""
    fixed = fixed_email(account, session)
    return page(
        "checkout.html",
        status,
        (session["success_url"], session["cancel_url"]),
        session=session,
        items=[item | {"full": full_price(item)} for item in totals.line_items(account, session)],
        codes=[code_of(account, one) for one in session["discounts"] or []],
        address=asks_address(session),
        card=totals.needs_card(session),
        tax_types=taxes.OFFERED if (session.get("tax_id_collection") or {}).get("enabled") else {},
        countries=forms.COUNTRIES,
        email=fixed or typed.get("email", ""),
        email_fixed=bool(fixed),
        typed=typed,
        wrong=wrong,
        button=BUTTONS[session["mode"]],
        trial=totals.has_trial(session),
        debit="sepa_debit" in session["payment_method_types"] or session["currency"] == "eur",
    )


def full_price(item: Json) -> int:
    """What a line costs when no trial and no discount makes it cheaper."""
    return amounts.amount_of(item["price"], item["quantity"])


def code_of(account: Account, discount: Json) -> str:
    """How a discount is called on the page."""
    code, coupon = account.get(discount["promotion_code"]), account.find("coupon", discount["coupon"])
    return str(code["code"] if code else coupon["name"] or coupon["id"])


def closed(session: Json) -> Response | Answer:
    """A session that can't be paid any more."""
    if session["status"] == "complete":
        return go(finished_url(session))
    return page("expired.html", 410, (session["cancel_url"],), session=session)


def finished_url(session: Json) -> str:
    """Where the buyer goes after paying."""
    url = session["success_url"] or f"/c/done/{session['id']}"
    return str(url).replace("{CHECKOUT_SESSION_ID}", session["id"])


@pages.get("/c/done/<session_id>")
def done(session_id: str) -> Response:
    _, session = opened(session_id)
    return page("done.html", session=session)
