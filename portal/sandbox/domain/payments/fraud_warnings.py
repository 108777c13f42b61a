"""Early fraud warnings: a card's issuer suspects fraud, and nobody has disputed the payment yet.

https://docs.stripe.com/disputes/measuring#early-fraud-warnings
"""

from typing import Any

from portal.sandbox.account import Account

Json = dict[str, Any]
KIND = "radar.early_fraud_warning"


def begin(account: Account, charge: Json, fraud_type: str) -> Json:
    """Warn of a charge; there is still something to be done about it."""
    fields = {"actionable": True, "charge": charge["id"], "fraud_type": fraud_type}
    return account.add(KIND, fields | {"payment_intent": charge["payment_intent"]}, f"{KIND}.created")


def settle(account: Account, charge: Json) -> None:
    """Once a charge is refunded in full or disputed, nothing is left to be done about its warnings."""
    about = "json_extract(json, '$.charge') = ?"
    for warning in account.store.select(account.mode, KIND, about, charge["id"]):
        account.change(warning, {"actionable": False}, f"{KIND}.updated")
