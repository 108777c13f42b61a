"""Giving money back."""

from typing import TYPE_CHECKING, Any

from portal.sandbox.errors import StripeError

if TYPE_CHECKING:
    from portal.sandbox.account import Account

Json = dict[str, Any]


def refund(account: "Account", charge: Json, fields: Json, amount: int | None = None) -> Json:
    """Refund a charge, all that is left of it if no amount is given (minor units). Raises StripeError."""
    if charge["status"] != "succeeded":
        raise StripeError(
            f"Charge {charge['id']} cannot be refunded because it has not succeeded.", param="charge"
        )
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


def _book(account: "Account", charge: Json, fields: Json, amount: int) -> Json:
    given = {
        "amount": amount,
        "charge": charge["id"],
        "currency": charge["currency"],
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "status": "succeeded",
    }
    made = account.add("refund", given | fields, "refund.created")
    total = charge["amount_refunded"] + amount
    previous = {"amount_refunded": charge["amount_refunded"], "refunded": charge["refunded"]}
    account.change(charge, {"amount_refunded": total, "refunded": total == charge["amount"]})
    account.emit("charge.refunded", charge, {n: v for n, v in previous.items() if charge[n] != v})
    return made
