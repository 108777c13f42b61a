"""Disputes: a cardholder asks their bank for the money back."""

from typing import TYPE_CHECKING, Any

from portal.sandbox.errors import StripeError

if TYPE_CHECKING:
    from portal.sandbox.account import Account

Json = dict[str, Any]
ANSWER_WITHIN = 7 * 86400  # seconds
INQUIRY = "1976"  # the test card whose holder only inquires ends so


def begin(account: "Account", charge: Json) -> Json:
    """Dispute a charge; an inquiry takes no money yet."""
    inquiry = charge["payment_method_details"]["card"]["last4"] == INQUIRY
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
        "reason": "fraudulent",
        "status": "warning_needs_response" if inquiry else "needs_response",
    }
    account.change(charge, {"disputed": True})
    dispute = account.add("dispute", fields, "charge.dispute.created")
    if not inquiry:
        account.emit("charge.dispute.funds_withdrawn", dispute)
    return dispute


def answer(account: "Account", dispute: Json, evidence: Json, submit: bool) -> Json:
    """Add evidence; submitted, the words winning_evidence and losing_evidence decide, as in Stripe's test mode."""
    require_open(dispute)
    details = dispute["evidence_details"] | {"has_evidence": True}
    changes = {"evidence": dispute["evidence"] | evidence, "evidence_details": details}
    if submit:
        details["submission_count"] += 1
        changes["status"] = "under_review" if dispute["status"] == "needs_response" else "warning_under_review"
    account.change(dispute, changes, "charge.dispute.updated")
    verdict = {"winning_evidence": "won", "losing_evidence": "lost"}.get(evidence.get("uncategorized_text") or "")
    return close(account, dispute, verdict) if submit and verdict else dispute


def close(account: "Account", dispute: Json, status: str) -> Json:
    """End a dispute, won or lost."""
    withdrawn = not dispute["status"].startswith("warning")
    account.change(dispute, {"status": status if withdrawn else "warning_closed"})
    account.emit("charge.dispute.closed", dispute)
    if withdrawn and status == "won":
        account.emit("charge.dispute.funds_reinstated", dispute)
    return dispute


def require_open(dispute: Json) -> None:
    """Raises StripeError for a dispute that has been decided."""
    if dispute["status"] in ("won", "lost", "warning_closed"):
        raise StripeError("This dispute is already closed.", code="dispute_already_closed")
