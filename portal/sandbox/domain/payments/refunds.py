"""Giving money back, at once or later, and getting it back when the bank refuses it."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.payments import balance_transactions, disputes

Json = dict[str, Any]


def refund(account: Account, charge: Json, fields: Json, amount: int | None = None) -> Json:
    """Refund a charge, all that is left of it if no amount is given (minor units). Raises StripeError."""
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
    """Bring a charge's refunded amount up, or down again, by so many minor units."""
    total = charge["amount_refunded"] + more
    account.change(charge, {"amount_refunded": total, "refunded": total == charge["amount"]}, event)


def settle(account: Account, made: Json) -> None:
    """The bank's answer to a refund: one that was pending has arrived, one that had succeeded comes back."""
    if made["status"] == "pending":
        report(account, made, {"status": "succeeded"})
        return
    back = balance_transactions.book(account, "refund_failure", made, made["amount"])
    failure = {"failure_reason": "expired_or_canceled_card", "failure_balance_transaction": back["id"]}
    report(account, made, {"status": "failed"} | failure)
    account.emit("refund.failed", made)
    write_total(account, account.find("charge", made["charge"]), -made["amount"], "charge.updated")


def report(account: Account, made: Json, changes: Json) -> None:
    """Change a refund, under its event's new name and its old one."""
    previous = {name: made.get(name) for name in changes}
    account.change(made, changes)
    for event in ("refund.updated", "charge.refund.updated"):
        account.emit(event, made, previous)
