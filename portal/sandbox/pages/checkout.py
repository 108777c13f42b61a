"""The hosted checkout: pay, authenticate, return."""

from typing import Any

from flask import Response, abort, request
from werkzeug.wrappers import Response as Answer

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.checkout import questions, sessions, totals
from portal.sandbox.domain.payments import payment_intents, payment_methods
from portal.sandbox.domain.pricing import amounts, currencies, tax_rates, taxes
from portal.sandbox.pages import forms
from portal.sandbox.pages.base import account_of, go, page, pages
from portal.sandbox.resources import checkout_lines, checkout_sessions

Json = dict[str, Any]
BUTTONS = {"payment": "Pay", "subscription": "Subscribe", "setup": "Save card"}
WORDS = {"book": "Book", "donate": "Donate", "pay": "Pay", "subscribe": "Subscribe"}  # submit_type


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
    buyer = forms.buyer(typed, fixed, asks_address(session)) | {"answers": questions.answers(session, typed)}
    buyer["shipping"] = questions.shipping(session, typed)
    if not asks_tax_id(session):
        buyer |= {"business_name": None, "tax_id": None}
    if not session["phone_number_collection"]["enabled"]:
        buyer["phone"] = None
    try:
        return attempt(account, session_id, typed, buyer)
    except StripeError as error:
        field, words = forms.explain(error)
        return form_page(account, account.find("checkout.session", session_id), typed, {field: words}, 402)


def attempt(account: Account, session_id: str, typed: Any, buyer: Json) -> Answer:
    """Pay with the entered data, or first ask the cardholder; a second click finds the session finished."""
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
    """Return errors in the entered data, of what this session asks for."""
    found = forms.contact_problems(typed, with_email)
    if asks_address(session):
        found |= forms.address_problems(typed)
    found |= questions.problems(session, typed)
    return found | (forms.problems(typed) if totals.needs_card(session) else {})


def asks_address(session: Json) -> bool:
    """Return whether the buyer must enter an address."""
    return bool(session["billing_address_collection"] == "required" or session["automatic_tax"]["enabled"])


def asks_tax_id(session: Json) -> bool:
    """Return whether the buyer may enter a business name and tax ID."""
    return bool((session.get("tax_id_collection") or {}).get("enabled"))


def ships_to(session: Json) -> list[str]:
    """Return the countries that the seller ships to."""
    wanted = session["shipping_address_collection"] or {"allowed_countries": []}
    return list(wanted["allowed_countries"])


def payments_ask(method: Json) -> bool:
    """Return whether the cardholder is asked before anything else happens."""
    return method["type"] == "card" and payment_methods.needs_authentication(method)


@pages.post("/c/pay/<session_id>/promotion")
def submit_promotion(session_id: str) -> Response | Answer:
    """Apply or remove a promotion code."""
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


@pages.post("/c/pay/<session_id>/items")
def submit_items(session_id: str) -> Response | Answer:
    """Change a quantity, or add or remove an optional item."""
    account, session = opened(session_id)
    if session["status"] != "open":
        return closed(session)
    typed = request.form
    try:
        with account.store.transaction():
            session = account.find("checkout.session", session_id)
            if typed.get("add"):
                checkout_lines.take(account, session, typed["add"])
            else:
                quantity = typed.get("quantity", "").strip()
                chosen = int(quantity) if quantity.isascii() and quantity.isdigit() else -1
                checkout_lines.change_quantity(account, session, typed.get("line", ""), chosen)
    except StripeError as error:
        found = account.find("checkout.session", session_id)
        return form_page(account, found, typed, {typed.get("line", "items"): str(error)}, 422)
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
    """Pay with the card whose holder has just authenticated."""
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
    """Return the session of a URL, or raise 404."""
    account = account_of(session_id)
    session = account.get(session_id) or {}
    if session.get("object") != "checkout.session":
        abort(404)
    return account, session


def fixed_email(account: Account, session: Json) -> str | None:
    """Return the email if the buyer can't change it."""
    customer = account.get(session["customer"]) or {}
    email: str | None = customer.get("email") or session["customer_email"]
    return email


def form_page(account: Account, session: Json, typed: Any, wrong: Json, status: int = 200) -> Response:
    """Render the checkout form; the entered data stays, except for the card."""
    fixed = fixed_email(account, session)
    items = totals.line_items(account, session)
    return page(
        "checkout.html",
        status,
        (session["success_url"], session["cancel_url"]),
        session=session,
        items=[item | {"full": full_price(item, session["currency"])} for item in items],
        optional={line["id"] for line in session["_"]["line_items"] if line.get("optional")},
        offered=[offer(account, one, session["currency"]) for one in checkout_lines.not_taken(session)],
        taxes=tax_rates.shown(account, tax_rates.totals([item["_"]["taxes"] for item in items])),
        codes=[code_of(account, one) for one in session["discounts"] or []],
        address=asks_address(session),
        card=totals.needs_card(session),
        tax_types=taxes.OFFERED if asks_tax_id(session) else {},
        countries=forms.COUNTRIES,
        ship_countries={code: forms.COUNTRIES.get(code, code) for code in ships_to(session)},
        email=fixed or typed.get("email", ""),
        email_fixed=bool(fixed),
        typed=typed,
        wrong=wrong,
        button=WORDS.get(session["submit_type"], BUTTONS[session["mode"]]),
        options=lambda one: {"": "–"} | {o["value"]: o["label"] for o in one["dropdown"]["options"]},
        trial=totals.has_trial(session),
        debit="sepa_debit" in session["payment_method_types"] or session["currency"] == "eur",
    )


def full_price(item: Json, currency: str) -> int:
    """Return a line's cost without trial and discounts."""
    return amounts.amount_of(currencies.within(item["price"], currency), item["quantity"])


def offer(account: Account, item: Json, currency: str) -> Json:
    """Return an optional item with its price and name."""
    shown = item | {"price": account.find("price", item["price"])}
    product = account.find("product", shown["price"]["product"])
    return shown | {"description": product["name"], "full": full_price(shown, currency)}


def code_of(account: Account, discount: Json) -> str:
    """Return a discount's name on the page."""
    code, coupon = account.get(discount["promotion_code"]), account.find("coupon", discount["coupon"])
    return str(code["code"] if code else coupon["name"] or coupon["id"])


def closed(session: Json) -> Response | Answer:
    """Return the response for a session that can't be paid any more."""
    if session["status"] == "complete":
        return go(finished_url(session))
    return page("expired.html", 410, (session["cancel_url"],), session=session)


def finished_url(session: Json) -> str:
    """Return where the buyer is redirected after paying."""
    url = session["success_url"] or f"/c/done/{session['id']}"
    return str(url).replace("{CHECKOUT_SESSION_ID}", session["id"])


@pages.get("/r/<session_id>")
def recover_session(session_id: str) -> Response | Answer:
    """Open a copy of an expired session."""
    account, session = opened(session_id)
    if not questions.may_recover(account, session):
        return closed(session)
    with account.store.transaction():
        return go(checkout_sessions.recover(account, session)["url"])


@pages.get("/c/done/<session_id>")
def done(session_id: str) -> Response:
    _, session = opened(session_id)
    return page("done.html", session=session)
