"""Disputes: a cardholder asks their bank for the money back, or only inquires."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.payments import balance_transactions, fraud_warnings

Json = dict[str, Any]
ANSWER_WITHIN = 7 * 86400  # seconds
CLOSED = ("won", "lost", "warning_closed")
# The texts that decide a dispute in Stripe's test mode, as evidence[uncategorized_text].
VERDICTS = {"winning_evidence": "won", "losing_evidence": "lost", "escalate_inquiry_evidence": "escalated"}


def begin(account: Account, charge: Json, reason: str) -> Json:
    """Dispute a charge; an inquiry withdraws no money yet."""
    inquiry = reason == "inquiry"
    brand = charge["payment_method_details"]["card"]["brand"]
    fields = {
        "amount": charge["amount"],
        "charge": charge["id"],
        "currency": charge["currency"],
        "evidence_details": {
            "due_by": account.now() + ANSWER_WITHIN,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": inquiry,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {"type": "card", "card": _case(brand, inquiry)},
        "reason": "fraudulent" if inquiry else reason,
        "status": "warning_needs_response" if inquiry else "needs_response",
    }
    account.change(charge, {"disputed": True})
    fraud_warnings.settle(account, charge)
    dispute = account.add("dispute", fields, "charge.dispute.created")
    account.at(dispute["evidence_details"]["due_by"], "overdue", dispute["id"])
    if not inquiry:
        move_funds(account, dispute, "dispute", -dispute["amount"])
    return dispute


def complain(account: Account, intent_id: str) -> Json:
    """Open a cardholder's dispute. Raises StripeError if nothing was paid or it is already disputed.

    The id may also be that of a charge without a payment intent.
    """
    charge = _paid(account, intent_id)
    if charge["disputed"]:
        raise StripeError("This payment is disputed already.", code="charge_disputed")
    return begin(account, charge, "fraudulent")


def _paid(account: Account, stripe_id: str) -> Json:
    if stripe_id.startswith("ch_"):
        return account.find("charge", stripe_id)
    intent = account.find("payment_intent", stripe_id)
    if intent["status"] != "succeeded":
        raise StripeError("Nothing was paid, so nothing can be disputed.")
    return account.find("charge", intent["latest_charge"])


def _case(brand: str, inquiry: bool) -> Json:
    kind = "inquiry" if inquiry else "chargeback"
    return {"brand": brand, "case_type": kind, "network": brand, "network_reason_code": "10.4"}


def move_funds(account: Account, dispute: Json, category: str, amount: int) -> None:
    """Withdraw the disputed money, or return it, and create the event."""
    booked = balance_transactions.book(account, category, dispute, amount)
    account.change(dispute, {"balance_transactions": [*dispute["balance_transactions"], booked]})
    account.emit(f"charge.dispute.funds_{'withdrawn' if amount < 0 else 'reinstated'}", dispute)


def answer(account: Account, dispute: Json, evidence: Json, submit: bool) -> Json:
    """Add evidence; if submitted, its text decides the dispute."""
    require_open(dispute)
    evidence = dispute["evidence"] | evidence
    details = dispute["evidence_details"] | {"has_evidence": True}
    changes = {"evidence": evidence, "evidence_details": details}
    if submit:
        details["submission_count"] += 1
        changes["status"] = "warning_under_review" if is_inquiry(dispute) else "under_review"
    account.change(dispute, changes, "charge.dispute.updated")
    verdict = VERDICTS.get(evidence["uncategorized_text"] or "")
    if not submit or not verdict:
        return dispute
    return escalate(account, dispute) if verdict == "escalated" else close(account, dispute, verdict)


def escalate(account: Account, dispute: Json) -> Json:
    """Turn an inquiry into a dispute, which withdraws its money."""
    if is_inquiry(dispute):
        case = dispute["payment_method_details"]["card"] | {"case_type": "chargeback"}
        changes = {"status": "needs_response", "is_charge_refundable": False}
        changes["payment_method_details"] = {"type": "card", "card": case}
        account.change(dispute, changes, "charge.dispute.updated")
        move_funds(account, dispute, "dispute", -dispute["amount"])
    return dispute


def close(account: Account, dispute: Json, status: str) -> Json:
    """Close a dispute, won or lost; an inquiry is only closed."""
    if is_inquiry(dispute):
        status = "warning_closed"
    account.change(dispute, {"status": status})
    if status == "won":
        move_funds(account, dispute, "dispute_reversal", dispute["amount"])
    account.emit("charge.dispute.closed", dispute)
    return dispute


def overdue(account: Account, dispute: Json) -> None:
    """Lose a dispute that nobody answered in time."""
    if dispute["status"] in ("needs_response", "warning_needs_response"):
        close(account, dispute, "lost")


def is_inquiry(dispute: Json) -> bool:
    """Return whether no money was withdrawn so far."""
    return str(dispute["status"]).startswith("warning")


def require_open(dispute: Json) -> None:
    """Raise StripeError for a dispute that has been decided."""
    if dispute["status"] in CLOSED:
        raise StripeError("This dispute is already closed.", code="dispute_already_closed")


def require_refundable(account: Account, charge: Json) -> None:
    """Raise StripeError for a charge whose money a dispute has withdrawn."""
    about = "json_extract(json, '$.charge') = ? AND NOT json_extract(json, '$.is_charge_refundable')"
    if charge["disputed"] and account.store.select(account.mode, "dispute", about, charge["id"]):
        words = f"Charge {charge['id']} has been charged back; cannot issue a refund."
        raise StripeError(words, code="charge_disputed")
