"""Tax ids. Automatic tax is always zero here."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError

Json = dict[str, Any]
# Those that the hosted page offers; the API accepts every type of Stripe's.
OFFERED = {"eu_vat": "EU VAT", "gb_vat": "GB VAT", "us_ein": "US EIN", "ch_vat": "CH VAT", "au_abn": "AU ABN"}

# Test numbers of https://docs.stripe.com/billing/customer/tax-ids; all others stay pending.
OUTCOMES = {"000000000": "verified", "111111111": "unverified"}


def add(account: Account, customer: Json, type_: str, value: str) -> Json:
    """Add a tax id to a customer. Raises StripeError for an invalid one."""
    if len(value.strip()) < 5:
        words = f"Invalid value for {type_}."
        raise StripeError(words, code="tax_id_invalid", param="value")
    checked = "pending" if type_ in ("eu_vat", "gb_vat", "au_abn") else "unavailable"
    fields = {
        "country": (value if type_ == "eu_vat" else type_)[:2].upper(),
        "customer": customer["id"],
        "owner": {"type": "customer", "customer": customer["id"]},
        "type": type_,
        "value": value.strip(),
        "verification": {"status": checked, "verified_address": None, "verified_name": None},
    }
    made = account.add("tax_id", fields, "customer.tax_id.created")
    if checked == "pending" and outcome(made):
        account.at(account.now() + account.config.settle_after, "verify_tax_id", made["id"])
    return made


def outcome(tax_id: Json) -> str | None:
    """Return how the check of a tax id ends, None if it never does."""
    return next((status for number, status in OUTCOMES.items() if number in tax_id["value"]), None)


def verify(account: Account, tax_id: Json) -> None:
    """Finish the check of a tax id."""
    checked = tax_id["verification"] | {"status": outcome(tax_id)}
    account.change(tax_id, {"verification": checked}, "customer.tax_id.updated")


def of(account: Account, customer: str) -> list[Json]:
    """Return a customer's tax ids, newest first."""
    return account.store.select(account.mode, "tax_id", "json_extract(json, '$.customer') = ?", customer)


def shown(account: Account, customer: str) -> list[Json]:
    """Return a customer's tax ids as an invoice prints them."""
    return [{"type": one["type"], "value": one["value"]} for one in of(account, customer)]


def require_location(customer: Json, param: str = "automatic_tax[enabled]") -> None:
    """Raise StripeError for a customer whose tax can't be calculated without an address."""
    if not (customer["address"] or {}).get("country"):
        words = "The customer's location isn't recognized. Set a valid customer address in order to automatically "
        raise StripeError(words + "calculate tax.", code="customer_tax_location_invalid", param=param)


def calculated(asked: Json, customer: Json) -> Json:
    """Return automatic_tax of an invoice, which is incomplete without an address."""
    if not asked["enabled"]:
        return asked | {"provider": None, "status": None}
    known = (customer["address"] or {}).get("country")
    return asked | {"provider": "stripe", "status": "complete" if known else "requires_location_inputs"}


def free(asked: Json | None) -> Json:
    """Return automatic_tax as it was given."""
    enabled = bool(asked and asked.get("enabled"))
    liability = {"type": "self"} if enabled else None
    return {"enabled": enabled, "liability": liability}
