"""Checks of parameters in any operation: metadata, emails, URLs, currencies, amounts, ids in lists.

Limits: https://docs.stripe.com/metadata and https://docs.stripe.com/currencies.
"""

import re
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError, missing
from portal.sandbox.api.wire import join

Json = dict[str, Any]
# A thousandth is the minor unit, and the last digit is 0: https://docs.stripe.com/currencies#three-decimal
THREE_DECIMAL = frozenset(("bhd", "jod", "kwd", "omr", "tnd"))
LARGEST = 99_999_999  # minor units: eight digits
KEYS, KEY, VALUE = 50, 40, 500  # of metadata: how many, and how many characters
INTERVALS = {"day": 1095, "week": 156, "month": 36, "year": 3}  # three years
EMAILS = frozenset(("email", "customer_email", "receipt_email"))
URLS = frozenset(("url", "success_url", "cancel_url", "return_url", "default_return_url"))
AMOUNTS = frozenset(("amount", "unit_amount", "amount_off"))
LISTED = {
    name: name
    for name in (
        "customer",
        "subscription",
        "payment_intent",
        "charge",
        "invoice",
        "price",
        "product",
        "payment_link",
    )
}
CURRENCIES = frozenset(
    re.findall(
        r"\w+",
        """
    aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd cad cdf
    chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl htg
    huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk
    mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub
    rwf sar sbd scr sek sgd shp sle sos srd std szl thb tjs tnd top try ttd twd tzs uah ugx usd uyu uzs vnd
    vuv wst xaf xcd xof xpf yer zar zmw
    """,
    )
)


def check(account: Account, params: Json, lists: bool) -> None:
    """Raise StripeError for the first invalid parameter. `lists`: whether the call lists objects."""
    walk(params)
    if lists:
        check_ids(account, params)


def check_thousandths(params: Json, at: str) -> None:
    """Raises StripeError for an amount of a currency with three decimals whose last digit is not 0."""
    if str(params.get("currency")).lower() not in THREE_DECIMAL:
        return
    for name in AMOUNTS & params.keys():
        if isinstance(params[name], int) and params[name] % 10:
            words = f"Invalid {name}: in {params['currency']} the last digit must be 0."
            raise StripeError(words, code="parameter_invalid_integer", param=join(at, name))


def walk(params: Json, at: str = "") -> None:
    """Check every value, including nested ones."""
    check_thousandths(params, at)
    for name, value in params.items():
        here = join(at, name)
        if name == "metadata" and isinstance(value, dict):
            check_metadata(value, here)
        elif name == "currency_options" and isinstance(value, dict):
            for currency, inner in value.items():
                walk({"currency": currency} | (inner or {}), join(here, currency))
        elif isinstance(value, dict):
            walk(value, here)
        elif isinstance(value, list):
            for number, item in enumerate(value):
                if isinstance(item, dict):
                    walk(item, f"{here}[{number}]")
        elif value is not None:
            check_value(name, value, here)
    check_interval(params, at)


def check_metadata(metadata: Json, at: str) -> None:
    """Raise StripeError for metadata with too many keys, or one that is too long."""
    if len(metadata) > KEYS:
        words = f"Metadata can have up to {KEYS} keys."
        raise StripeError(words, param=at)
    for key, text in metadata.items():
        if len(key) > KEY:
            words = (
                f"Metadata keys can have up to {KEY} characters. You passed in a key {len(key)} characters long."
            )
            raise StripeError(f"{words} Invalid key: {key}", param=at)
        if text is not None and len(text) > VALUE:
            words = f"Metadata values can have up to {VALUE} characters, but you passed in a value that is "
            raise StripeError(f"{words}{len(text)} characters. Invalid value: {text}", param=join(at, key))


def check_value(name: str, value: Any, at: str) -> None:
    """Raise StripeError for an invalid email, URL, currency or amount."""
    if name in EMAILS and not re.fullmatch(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+", str(value)):
        raise StripeError(f"Invalid email address: {value}", code="email_invalid", param=at)
    if name in URLS and not re.match(r"https?://[^/\s]+", str(value)):
        raise StripeError("Not a valid URL", code="url_invalid", param=at)
    if name == "currency" and str(value).lower() not in CURRENCIES:
        raise StripeError(f"Invalid currency: {value}.", param=at)
    if name in AMOUNTS and isinstance(value, int) and abs(value) > LARGEST:
        words = f"This value must be less than or equal to {LARGEST}."
        raise StripeError(words, code="amount_too_large", param=at)


def check_interval(params: Json, at: str) -> None:
    """Raise StripeError for a price that recurs less often than every three years."""
    interval, count = params.get("interval"), params.get("interval_count")
    if interval in INTERVALS and count is not None and not 1 <= count <= INTERVALS[interval]:
        words = f"Invalid interval_count: must be between 1 and {INTERVALS[interval]} for {interval}s."
        raise StripeError(words, param=join(at, "interval_count"))


def check_ids(account: Account, params: Json) -> None:
    """Raise StripeError for a list filtered by an object that never existed."""
    for name, kind in LISTED.items():
        id_ = params.get(name)
        found = account.get(id_) if isinstance(id_, str) else None
        if isinstance(id_, str) and (found is None or found["object"] != kind):
            raise missing(kind, id_, name)
