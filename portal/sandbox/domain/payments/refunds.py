"""Refunds: immediate, later, and returned if the bank refuses them."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.payments import balance_transactions, disputes, fraud_warnings

Json = dict[str, Any]


def refund(account: Account, charge: Json, fields: Json, amount: int | None = None) -> Json:
    """Refund a charge, the whole rest if no amount is given (minor units). Raises StripeError."""
    if charge["status"] != "succeeded":
        raise StripeError(
            f"Charge {charge['id']} cannot be refunded because it has not succeeded.", param="charge"
        )
    disputes.require_refundable(account, charge)
    left = charge["amount"] - charge["amount_refunded"]
    if left == 0:
        words = f"Charge {charge['id']} has already been refunded."
        raise StripeError(words, code="charge_already_refunded")
    amount = left if amount is None else amount
    if amount < 1:
        raise StripeError("Invalid positive integer", code="parameter_invalid_integer", param="amount")
    if amount > left:
        raise StripeError(
            f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})", param="amount"
        )
    return _book(account, charge, fields, amount)


def _book(account: Account, charge: Json, fields: Json, amount: int) -> Json:
    method = account.get(charge["payment_method"]) or {"_": {}}
    later = method["_"].get("refund")
    given = {
        "id": account.new_id("refund"),
        "amount": amount,
        "charge": charge["id"],
        "currency": charge["currency"],
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "status": "pending" if later == "pends" else "succeeded",
    }
    taken = balance_transactions.book(account, "refund", given, -amount)
    made = account.add("refund", given | {"balance_transaction": taken["id"]} | fields, "refund.created")
    write_total(account, charge, amount, "charge.refunded")
    if later:
        account.at(account.now() + account.config.settle_after, "settle_refund", made["id"])
    return made


def write_total(account: Account, charge: Json, more: int, event: str) -> None:
    """Change a charge's refunded amount by a number of minor units."""
    total = charge["amount_refunded"] + more
    account.change(charge, {"amount_refunded": total, "refunded": total == charge["amount"]}, event)
    if charge["refunded"]:
        fraud_warnings.settle(account, charge)


def cancel(account: Account, made: Json) -> Json:
    """Cancel a refund that has not arrived. Raises StripeError."""
    if made["status"] not in ("pending", "requires_action"):
        words = f"Refund {made['id']} cannot be canceled because it has a status of {made['status']}."
        raise StripeError(words)
    return take_back(account, made, {"status": "canceled"})


def take_back(account: Account, made: Json, changes: Json) -> Json:
    """Fail a refund: its money returns to the account."""
    back = balance_transactions.book(account, "refund_failure", made, made["amount"])
    report(account, made, changes | {"failure_balance_transaction": back["id"]})
    if changes["status"] == "failed":
        account.emit("refund.failed", made)
    write_total(account, account.find("charge", made["charge"]), -made["amount"], "charge.updated")
    return made


def settle(account: Account, made: Json) -> None:
    """Handle the bank's result of a refund: a pending one has arrived, one that had succeeded fails."""
    if made["status"] == "pending":
        report(account, made, {"status": "succeeded"})
        return
    if made["status"] == "succeeded":
        take_back(account, made, {"status": "failed", "failure_reason": "expired_or_canceled_card"})


def report(account: Account, made: Json, changes: Json) -> None:
    """Change a refund, with its event's new name and its old one."""
    previous = {name: made.get(name) for name in changes}
    account.change(made, changes)
    for event in ("refund.updated", "charge.refund.updated"):
        account.emit(event, made, previous)
