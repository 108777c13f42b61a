"""The buyer's input: a card or an IBAN."""

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.domain.payments import cards, payment_methods

Json = dict[str, Any]
COUNTRIES = {
    "AT": "Austria",
    "AU": "Australia",
    "CA": "Canada",
    "CH": "Switzerland",
    "DE": "Germany",
    "ES": "Spain",
    "FR": "France",
    "GB": "United Kingdom",
    "IE": "Ireland",
    "IT": "Italy",
    "NL": "Netherlands",
    "US": "United States",
}


def contact_problems(form: Mapping[str, str], with_email: bool) -> dict[str, str]:
    """Return error messages for the email and the tax id, by field."""
    found = {}
    if with_email and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", form.get("email", "").strip()):
        found["email"] = "Enter an email address, such as name@example.com."
    if form.get("tax_id", "").strip() and len(form["tax_id"].strip()) < 5:
        found["tax_id"] = "Enter the whole tax ID."
    return found


def address_problems(form: Mapping[str, str]) -> dict[str, str]:
    """Return error messages for an incomplete address, by field."""
    words = {"line1": "Enter an address.", "city": "Enter a city.", "zip": "Enter a ZIP or postal code."}
    found = {name: text for name, text in words.items() if not form.get(name, "").strip()}
    return found if form.get("country") in COUNTRIES else found | {"country": "Choose a country."}


def buyer(form: Mapping[str, str], email: str | None, with_address: bool) -> Json:
    """Return the buyer as entered; an email that is already known takes precedence."""
    text = {name: value.strip() or None for name, value in form.items()}
    known: Json = {"email": email or text.get("email"), "name": text.get("name"), "postal_code": text.get("zip")}
    known |= {"business_name": text.get("business_name"), "phone": text.get("phone")}
    if text.get("tax_id"):
        known["tax_id"] = {"type": text["tax_id_type"], "value": text["tax_id"]}
    if with_address:
        parts = {name: text.get(name) for name in ("city", "country", "line1", "line2", "state")}
        known["address"] = parts | {"postal_code": text.get("zip")}
    return known


def problems(form: Mapping[str, str]) -> dict[str, str]:
    """Return error messages for the card or the IBAN, by field."""
    found: dict[str, str] = {}
    if form.get("method") == "sepa_debit":
        return found | ({} if form.get("iban", "").strip() else {"iban": "Enter an IBAN."})
    if not form.get("number", "").strip():
        found["number"] = "Enter a card number."
    if expiry(form.get("expiration", "")) is None:
        found["expiration"] = "Enter a date in the future as MM / YY."
    if not re.fullmatch(r"\d{3,4}", form.get("cvc", "").strip()):
        found["cvc"] = "Enter the three or four digits on the card."
    return found


def expiry(text: str) -> tuple[int, int] | None:
    """Return month and year of an expiration such as 12 / 34; None if it is invalid or has passed."""
    match = re.fullmatch(r"(\d{1,2})\s*/?\s*(\d{2}|\d{4})", text.strip())
    if not match:
        return None
    month, year = int(match[1]), int(match[2]) + (2000 if len(match[2]) == 2 else 0)
    today = dt.datetime.now(dt.UTC)
    return (month, year) if 1 <= month <= 12 and (year, month) >= (today.year, today.month) else None


def method(account: Account, form: Mapping[str, str], email: str | None) -> Json:
    """Return the entered payment method. Raises StripeError for an invalid number."""
    billing = {"email": email, "name": form.get("name", "").strip() or None}
    if form.get("method") == "sepa_debit":
        return payment_methods.new_method(account, cards.iban_fields(form["iban"]), billing)
    month, year = expiry(form["expiration"]) or (12, 2034)
    billing_card = billing | {"address": {"postal_code": form.get("zip", "").strip() or None}}
    return payment_methods.new_method(
        account, cards.card_fields(cards.numbered(form["number"]), month, year), billing_card
    )


def explain(error: StripeError) -> tuple[str, str]:
    """Return the field that an error belongs to, and the message for the buyer."""
    text = str(error)
    if error.body.get("decline_code") == "test_mode_live_card":
        return "number", "This is a sandbox: it takes test cards only, such as 4242 4242 4242 4242."
    if error.body.get("param") == "sepa_debit[iban]":
        return "iban", text
    field = {"expired_card": "expiration", "incorrect_cvc": "cvc"}.get(error.body.get("code") or "", "number")
    if error.body.get("code") in ("card_declined", "processing_error"):
        text += " Please try a different card." if "declined" in text else ""
    return field, text
