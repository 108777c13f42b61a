"""Paused collection: invoices are still created, and nobody is charged for them.

https://docs.stripe.com/billing/subscriptions/pause-payment
"""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.domain.invoices import finalization, invoice_payments

Json = dict[str, Any]


def pause(account: Account, subscription: Json, asked: Json | None) -> Json | None:
    """Return pause_collection as a subscription shows it, with a timer for its end; None resumes it."""
    if asked is None:
        return None
    resumes: int | None = asked.get("resumes_at")
    if resumes:
        account.at(resumes, "collect_again", subscription["id"])
    return {"behavior": asked["behavior"], "resumes_at": resumes}


def resume(account: Account, subscription: Json) -> None:
    """Resume collection on its date."""
    paused = subscription["pause_collection"]
    if paused and paused["resumes_at"] and paused["resumes_at"] <= account.now():
        account.change(subscription, {"pause_collection": None}, "customer.subscription.updated")


def hold(account: Account, subscription: Json, invoice: Json) -> bool:
    """Handle a renewal's draft as paused collection says, and return whether it applied."""
    paused = subscription["pause_collection"]
    if not paused:
        return False
    account.change(invoice, {"auto_advance": False, "automatically_finalizes_at": None}, "invoice.updated")
    if paused["behavior"] == "keep_as_draft":
        return True
    closed = "void" if paused["behavior"] == "void" else "uncollectible"
    finalized = finalization.finalize(account, invoice, credit=closed != "void")
    if finalized["status"] == "open":
        invoice_payments.close(account, finalized, closed)
    return True
