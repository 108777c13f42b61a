"""Formatting and parsing of amounts, and the only rounding.

Amounts are whole numbers of a currency's minor unit as Stripe counts it: 4999 is $49.99, and 500 is ¥500.
"""

import re
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from functools import lru_cache

from babel.numbers import format_currency, get_currency_symbol

# Stripe's own tables (https://docs.stripe.com/currencies), not ISO 4217's: Stripe counts ISK and UGX in hundredths
# that nobody can pay, so their amounts are multiples of 100.
ZERO_DECIMAL = frozenset(
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"]
)
THREE_DECIMAL = frozenset(["bhd", "jod", "kwd", "omr", "tnd"])
WHOLE = frozenset(["isk", "ugx"])

LOCALE = "en_US"
NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
LONGEST = 20  # characters of an amount; more than any real amount, and exact in Decimal
GROUPED = re.compile(r"[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?")


def exponent(currency: str) -> int:
    """Return how many decimals Stripe uses in this currency's amounts: 0, 2 or 3."""
    code = currency.lower()
    if code in ZERO_DECIMAL:
        return 0
    return 3 if code in THREE_DECIMAL else 2


def round_half_up(value: Decimal) -> int:
    """Round to the nearest whole number; a half goes away from zero."""
    return int(value.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def half_up(top: int, bottom: int) -> int:
    """Round a non-negative fraction to the nearest whole number; a half goes up."""
    return (2 * top + bottom) // (2 * bottom)


def major(amount: int, currency: str) -> Decimal:
    """Return 4999 usd as Decimal("49.99")."""
    return Decimal(amount).scaleb(-exponent(currency))


def text(amount: int, currency: str, *, short: bool = False) -> str:
    """Return 4999 usd as "$49.99". `short` omits the decimals of a whole amount: "$0", "$199"."""
    value = major(amount, currency)
    whole = value == value.to_integral_value() and (short or currency.lower() in WHOLE)
    digits = 0 if whole else exponent(currency)
    return _format(value, currency, digits)


def shows_code(currency: str) -> bool:
    """Return whether amounts already contain the currency's code, as in "CHF 5.00"."""
    return _symbol(currency).upper() == currency.upper()


def every(interval: str, count: int = 1) -> str:
    """Return how often a price is paid: "a month", or "every 3 months"."""
    return f"a {interval}" if count == 1 else f"every {count} {interval}s"


def cycle(interval: str | None, count: int = 1) -> str:
    """Return the billing cycle of a plan: "by the month", "every 3 months", or "once"."""
    if interval is None:
        return "once"
    return f"by the {interval}" if count == 1 else every(interval, count)


def unit_text(value: Decimal, currency: str, *, decimals: int = 3) -> str:
    """Return a price per unit in the currency's major unit, rounded half up: Decimal("0.00818") usd as
    "$0.008".
    """
    step = Decimal(1).scaleb(-decimals)
    return _format(value.quantize(step, rounding=ROUND_HALF_UP), currency, decimals)


def price_text(value: Decimal, per: int, currency: str) -> str:
    """Return a metered price with all its decimals: "$0.10", or "$0.01 per 1,000"."""
    places = value.normalize().as_tuple().exponent
    assert isinstance(places, int)
    words = unit_text(value, currency, decimals=max(exponent(currency), -places))
    return f"{words} per {per:,}" if per > 1 else words


def price_per_credit(amount: int, credits: int, currency: str) -> str:
    """Return the price of one credit of a package, with three decimals: 4500 usd for 5500 credits as "$0.008"."""
    return unit_text(major(amount, currency) / credits, currency)


def parse(words: str, currency: str) -> int:
    """Return the minor units of "49.99" or "$1,049.99". Raises ValueError for anything else, including too many
    decimals.
    """
    digits = words.strip().removeprefix(_symbol(currency))
    if len(digits) > LONGEST or not (NUMBER.fullmatch(digits) or GROUPED.fullmatch(digits)):
        raise ValueError(f'"{words}" is not an amount such as {text(1900, currency)}')
    value = Decimal(digits.replace(",", ""))
    decimals = 0 if currency.lower() in WHOLE else exponent(currency)
    if value != value.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_DOWN):
        raise ValueError(f'"{words}" has more decimals than {currency.upper()} allows')
    return int(value.scaleb(exponent(currency)))


def _symbol(currency: str) -> str:
    return get_currency_symbol(currency.upper(), locale=LOCALE)


@lru_cache(maxsize=4096)  # lists repeat a few prices, and Babel parses its pattern each time
def _format(value: Decimal, currency: str, digits: int) -> str:
    # Signs are next to the number, letters are separated by a no-break space: $5, CHF 5.
    gap = "\u00a0" if _symbol(currency)[-1].isalpha() else ""
    pattern = f"¤{gap}#,##0" + ("." + "0" * digits if digits else "")
    return format_currency(value, currency.upper(), pattern, locale=LOCALE, currency_digits=False)
