"""Checkout sessions: their content, and what happens when they are paid."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.checkout import questions, totals
from portal.sandbox.domain.invoices import invoice_items
from portal.sandbox.domain.payments import cards, payment_intents, payment_methods
from portal.sandbox.domain.pricing import currencies, discounts, taxes
from portal.sandbox.domain.subscriptions import creation

Json = dict[str, Any]
DAY = 24 * 60 * 60


def pay(account: Account, session: Json, method: Json | None, buyer: Json) -> Json:
    """Pay, subscribe or save the card; a finished session is returned unchanged.

    buyer has email and name, and address, business_name and tax_id if the session asks for them. method is None if
    nothing is due and no card is required.

    Raises StripeError: CardError when the card is declined, and for a session that has expired.
    """
    if session["status"] == "complete":
        return session
    if session["status"] == "expired":
        raise StripeError("This Checkout Session has expired.", code="checkout_session_expired")
    if session["mode"] == "subscription":
        return subscribe(account, session, method, buyer)
    if method is None:
        return take_nothing(account, session, buyer)
    return {"payment": take_payment, "setup": save_card}[session["mode"]](account, session, method, buyer)


def customer_of(account: Account, session: Json, buyer: Json, needed: bool) -> Json | None:
    """Return the session's customer, created from the buyer's input if one is needed."""
    if session["customer"]:
        customer = account.find("customer", session["customer"])
        account.change(customer, known_now(session, customer, buyer), "customer.updated")
        return with_tax_id(account, customer, buyer)
    if not needed and session["customer_creation"] != "always":
        return None
    known = {name: buyer.get(name) for name in ("email", "name", "address", "business_name", "phone")}
    if buyer.get("shipping"):
        known["shipping"] = {"phone": buyer.get("phone")} | buyer["shipping"]
    return with_tax_id(account, new_customer(account, known), buyer)


def with_tax_id(account: Account, customer: Json, buyer: Json) -> Json:
    """Return a customer with the buyer's tax id, if there is one."""
    given = buyer.get("tax_id")
    if given and given["value"] not in [one["value"] for one in taxes.of(account, customer["id"])]:
        taxes.add(account, customer, given["type"], given["value"])
    return customer


def known_now(session: Json, customer: Json, buyer: Json) -> Json:
    """Return what a checkout changes on a customer: missing fields, and those of customer_update."""
    learned = {name: buyer[name] for name in ("email", "name") if buyer.get(name) and not customer[name]}
    asked = session["_"].get("customer_update") or {}
    if asked.get("address") == "auto" and buyer.get("address"):
        learned["address"] = buyer["address"]
    if asked.get("name") == "auto":
        learned |= {name: buyer[name] for name in ("name", "business_name") if buyer.get(name)}
    return learned


def new_customer(account: Account, fields: Json) -> Json:
    """Create a customer with Stripe's defaults."""
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


def take_nothing(account: Account, session: Json, buyer: Json) -> Json:
    """Complete a session in payment mode with nothing to pay, because of a promotion code."""
    customer = customer_of(account, session, buyer, needed=False)
    if customer:
        session["customer"] = customer["id"]
    return complete(account, session, buyer, "no_payment_required")


def take_payment(account: Account, session: Json, method: Json, buyer: Json) -> Json:
    """Take the payment in payment mode: one payment intent, for any number of attempts."""
    customer = customer_of(account, session, buyer, needed=False)
    if customer:
        session["customer"] = customer["id"]
    intent = account.get(session["payment_intent"]) or _intent(account, session, customer, buyer)
    session["payment_intent"] = intent["id"]
    account.save(session)
    intent = payment_intents.confirm(account, intent, method)
    if customer and intent["setup_future_usage"]:
        payment_methods.attach(account, method, customer)
    return complete(account, session, buyer, "paid" if intent["status"] == "succeeded" else "unpaid")


def _intent(account: Account, session: Json, customer: Json | None, buyer: Json) -> Json:
    fields = {
        "amount": session["amount_total"],
        "currency": session["currency"],
        "customer": customer["id"] if customer else None,
        "payment_method_types": session["payment_method_types"],
        "_": {"session": session["id"]},
    }
    if buyer.get("shipping"):
        more = {"carrier": None, "phone": buyer.get("phone"), "tracking_number": None}
        fields["shipping"] = more | buyer["shipping"]
    return payment_intents.new_intent(account, fields | session["_"].get("payment_intent_data", {}))


def subscribe(account: Account, session: Json, method: Json | None, buyer: Json) -> Json:
    """Complete a session in subscription mode. Nothing is created before the card is known to work."""
    if method:
        require_good(method, due=bool(session["amount_total"]))
    customer = customer_of(account, session, buyer, needed=True) or {}
    if method:
        payment_methods.attach(account, method, customer)
    started = creation.start(
        account, customer, bought(account, session, customer), start_fields(account, session, method), False
    )
    session.update(customer=customer["id"], subscription=started["id"], invoice=started["latest_invoice"])
    invoice = account.find("invoice", started["latest_invoice"])
    status = {"paid": "paid" if invoice["amount_paid"] else "no_payment_required"}.get(invoice["status"], "unpaid")
    if not session["amount_total"]:
        status = "no_payment_required" if status == "paid" else status
    return complete(account, session, buyer, status)


def require_good(method: Json, due: bool) -> None:
    """Raise CardError for a card that can't be saved, or can't be charged if something is due."""
    reason = method["_"].get("attach") or (due and method["_"].get("charge"))
    if reason:
        raise cards.declined(reason)


def start_fields(account: Account, session: Json, method: Json | None) -> Json:
    """Return the subscription's fields from the session; a trial begins at completion."""
    fields = dict(session["_"].get("subscription_data") or {})
    days = fields.pop("trial_period_days", None)
    if days:
        fields["trial_end"] = account.now() + days * DAY
    tax = {name: session["automatic_tax"][name] for name in ("enabled", "liability")}
    fields |= {"automatic_tax": {"disabled_reason": None} | tax, "discounts": totals.asked_discounts(session)}
    fields["currency"] = session["currency"]
    return fields | {"default_payment_method": method["id"] if method else None}


def bought(account: Account, session: Json, customer: Json) -> list[Json]:
    """Return the recurring prices with their quantities; one-time prices go on the first invoice."""
    recurring = []
    for line in session["_"]["line_items"]:
        price = account.find("price", line["price"])
        if price["recurring"]:
            item = {"price": price, "quantity": line["quantity"], "tax_rates": line.get("tax_rates")}
            recurring.append(item)
        else:
            rates = {"tax_rates": line.get("tax_rates") or []}
            price = currencies.within(price, session["currency"])
            invoice_items.add(account, customer, price, line["quantity"], rates)
    return recurring


def save_card(account: Account, session: Json, method: Json, buyer: Json) -> Json:
    """Complete a session in setup mode: save the card for later."""
    intent = account.find("setup_intent", session["setup_intent"])
    customer = customer_of(account, session, buyer, needed=False)
    if method["_"].get("attach"):
        raise cards.declined(method["_"]["attach"])
    if customer:
        payment_methods.attach(account, method, customer)
    owner = customer["id"] if customer else None
    account.change(intent, {"status": "succeeded", "payment_method": method["id"], "customer": owner})
    account.emit("setup_intent.succeeded", intent)
    session["customer"] = owner
    return complete(account, session, buyer, "no_payment_required")


def complete(account: Account, session: Json, buyer: Json, payment_status: str) -> Json:
    """Complete the session and create its event."""
    if session["mode"] == "payment" and session["discounts"]:
        owner = {"checkout_session": session["id"], "customer": session["customer"]}
        discounts.redeem(account, totals.asked_discounts(session), owner, session["currency"])
    tax_ids = [buyer["tax_id"]] if buyer.get("tax_id") else []
    changes = {
        "customer_details": details(buyer, tax_ids),
        "payment_status": payment_status,
        "status": "complete",
        "url": None,
        "_": session["_"] | {"waiting": None},
    }
    if session["automatic_tax"]["enabled"]:
        changes["automatic_tax"] = session["automatic_tax"] | {"status": "complete"}
    account.change(session, changes | (buyer.get("answers") or {}))
    account.emit("checkout.session.completed", session)
    questions.count(account, session)
    return session


def details(buyer: Json, tax_ids: list[Json]) -> Json:
    """Return the final data of the buyer."""
    nowhere = {"city": None, "country": "US", "line1": None, "line2": None, "state": None}
    return {
        "address": buyer.get("address") or nowhere | {"postal_code": buyer.get("postal_code")},
        "business_name": buyer.get("business_name"),
        "email": buyer.get("email"),
        "individual_name": None,
        "name": buyer.get("name"),
        "phone": buyer.get("phone"),
        "tax_exempt": "none",
        "tax_ids": tax_ids,
    }


def settled(account: Account, session: Json, succeeded: bool) -> None:
    """Finish a bank debit that was still pending when the session was completed."""
    if session["payment_status"] != "unpaid":
        return
    if succeeded:
        account.change(session, {"payment_status": "paid"})
    outcome = "succeeded" if succeeded else "failed"
    account.emit(f"checkout.session.async_payment_{outcome}", session)


def expire(account: Account, session: Json) -> Json:
    """Expire an open session. Raises StripeError for one that isn't open."""
    if session["status"] != "open":
        words = 'Only Checkout Sessions with a status in ["open"] can be expired. '
        words += f"This Checkout Session has a status of {session['status']}."
        raise StripeError(words)
    later = questions.recovery(account, session)
    account.change(session, {"status": "expired", "url": None, "after_expiration": later})
    account.emit("checkout.session.expired", session)
    return session
