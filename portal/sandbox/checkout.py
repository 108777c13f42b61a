"""Checkout sessions: what is bought, and what happens when it is paid."""

from typing import TYPE_CHECKING, Any

from portal.sandbox import cards, items_due, payments, pricing, subscribing
from portal.sandbox.errors import StripeError
from portal.sandbox.pricing import amount_of

if TYPE_CHECKING:
    from portal.sandbox.account import Account

Json = dict[str, Any]


def line_items(account: "Account", session: Json) -> list[Json]:
    """A session's line items with their prices as they are now."""
    kept: list[Json] = session["_"]["line_items"]
    return [_item(account, session, line) for line in kept]


def _item(account: "Account", session: Json, line: Json) -> Json:
    price = account.find("price", line["price"])
    amount = amount_of(price, line["quantity"])
    product = account.find("product", price["product"])
    fields = {
        "id": line["id"],
        "amount_subtotal": amount,
        "amount_total": amount,
        "currency": price["currency"],
        "description": product["name"],
        "price": price,
        "quantity": line["quantity"],
    }
    return {name: v for name, v in account.build("item", fields).items() if v is not None}


def pay(account: "Account", session: Json, method: Json, buyer: Json) -> Json:
    """Pay, subscribe or save the card; buyer holds email and name. A finished session stays as it is.

    Raises StripeError: CardError when the card is declined, and for a session that has expired.
    """
    if session["status"] == "complete":
        return session
    if session["status"] == "expired":
        raise StripeError("This Checkout Session has expired.", code="checkout_session_expired")
    return {"payment": take_payment, "subscription": subscribe, "setup": save_card}[session["mode"]](
        account, session, method, buyer
    )


def customer_of(account: "Account", session: Json, buyer: Json, needed: bool) -> Json | None:
    """The session's customer, made of what the buyer typed if one is needed and there is none."""
    if session["customer"]:
        customer = account.find("customer", session["customer"])
        missing = {name: buyer[name] for name in ("email", "name") if buyer.get(name) and not customer[name]}
        return account.change(customer, missing, "customer.updated")
    if not needed and session["customer_creation"] != "always":
        return None
    return new_customer(account, {"email": buyer["email"], "name": buyer.get("name")})


def new_customer(account: "Account", fields: Json) -> Json:
    """A customer with the defaults of Stripe's."""
    id_ = account.new_id("customer")
    defaults = {
        "id": id_,
        "balance": 0,
        "delinquent": False,
        "invoice_prefix": id_[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "metadata": {},
        "next_invoice_sequence": 1,
        "preferred_locales": [],
        "tax_exempt": "none",
    }
    return account.add(
        "customer", defaults | {n: v for n, v in fields.items() if v is not None}, "customer.created"
    )


def take_payment(account: "Account", session: Json, method: Json, buyer: Json) -> Json:
    """Mode payment: one payment intent, tried as often as the buyer likes."""
    customer = customer_of(account, session, buyer, needed=False)
    if customer:
        session["customer"] = customer["id"]
    intent = account.get(session["payment_intent"]) or _intent(account, session, customer)
    session["payment_intent"] = intent["id"]
    account.save(session)
    intent = payments.confirm(account, intent, method)
    if customer and intent["setup_future_usage"]:
        payments.attach(account, method, customer)
    return complete(account, session, buyer, "paid" if intent["status"] == "succeeded" else "unpaid")


def _intent(account: "Account", session: Json, customer: Json | None) -> Json:
    fields = {
        "amount": session["amount_total"],
        "currency": session["currency"],
        "customer": customer["id"] if customer else None,
        "payment_method_types": session["payment_method_types"],
        "_": {"session": session["id"]},
    }
    return payments.new_intent(account, fields | session["_"].get("payment_intent_data", {}))


def subscribe(account: "Account", session: Json, method: Json, buyer: Json) -> Json:
    """Mode subscription: nothing is made before the card is known to be good."""
    due = session["amount_total"] and not session["_"].get("subscription_data", {}).get("trial_end")
    reason = method["_"].get("attach") or (due and method["_"].get("charge"))
    if reason:
        raise cards.declined(reason)
    customer = customer_of(account, session, buyer, needed=True) or {}
    payments.attach(account, method, customer)
    recurring = []
    for line in session["_"]["line_items"]:
        price = account.find("price", line["price"])
        if price["recurring"]:
            recurring.append({"price": price, "quantity": line["quantity"]})
        else:
            items_due.add(account, customer, price, line["quantity"], {})
    fields = session["_"].get("subscription_data", {}) | {"default_payment_method": method["id"]}
    started = subscribing.start(account, customer, recurring, fields, off_session=False)
    session.update(customer=customer["id"], subscription=started["id"], invoice=started["latest_invoice"])
    invoice = account.find("invoice", started["latest_invoice"])
    status = {"paid": "paid" if invoice["amount_paid"] else "no_payment_required"}.get(invoice["status"], "unpaid")
    if not session["amount_total"]:
        status = "no_payment_required" if status == "paid" else status
    return complete(account, session, buyer, status)


def save_card(account: "Account", session: Json, method: Json, buyer: Json) -> Json:
    """Mode setup: the card is kept for later."""
    intent = account.find("setup_intent", session["setup_intent"])
    customer = customer_of(account, session, buyer, needed=False)
    if method["_"].get("attach"):
        raise cards.declined(method["_"]["attach"])
    if customer:
        payments.attach(account, method, customer)
    owner = customer["id"] if customer else None
    account.change(intent, {"status": "succeeded", "payment_method": method["id"], "customer": owner})
    account.emit("setup_intent.succeeded", intent)
    session["customer"] = owner
    return complete(account, session, buyer, "no_payment_required")


def complete(account: "Account", session: Json, buyer: Json, payment_status: str) -> Json:
    """Close the session and say so."""
    details: Json = {
        "address": {"city": None, "country": "US", "line1": None, "line2": None, "state": None}
        | {"postal_code": buyer.get("postal_code")},
        "business_name": None,
        "email": buyer.get("email"),
        "individual_name": None,
        "name": buyer.get("name"),
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": [],
    }
    changes = {"status": "complete", "payment_status": payment_status, "customer_details": details, "url": None}
    account.change(session, changes | {"_": session["_"] | {"waiting": None}})
    account.emit("checkout.session.completed", session)
    return session


def settled(account: "Account", session: Json, succeeded: bool) -> None:
    """A bank debit that was still under way when the session was completed."""
    if session["payment_status"] != "unpaid":
        return
    if succeeded:
        account.change(session, {"payment_status": "paid"})
    outcome = "succeeded" if succeeded else "failed"
    account.emit(f"checkout.session.async_payment_{outcome}", session)


def expire(account: "Account", session: Json) -> Json:
    """Close an open session for good. Raises StripeError for one that isn't open."""
    if session["status"] != "open":
        words = 'Only Checkout Sessions with a status in ["open"] can be expired. '
        words += f"This Checkout Session has a status of {session['status']}."
        raise StripeError(words)
    account.change(session, {"status": "expired", "url": None})
    account.emit("checkout.session.expired", session)
    return session


def total(account: "Account", lines: list[Json]) -> tuple[int, str]:
    """What line items cost, in minor units, and their currency. Raises StripeError for mixed currencies."""
    prices = [account.find("price", line["price"], "line_items[0][price]") for line in lines]
    currencies = {price["currency"] for price in prices}
    if len(currencies) > 1:
        raise StripeError("All line items must have the same currency.", param="line_items")
    amounts = [pricing.amount_of(price, line["quantity"]) for price, line in zip(prices, lines, strict=True)]
    return sum(amounts), currencies.pop()
