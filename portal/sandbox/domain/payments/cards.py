"""Stripe's test cards, tokens and IBANs: the number determines the behavior."""

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

from portal.sandbox.api.errors import CardError, StripeError

Json = dict[str, Any]


@dataclass(frozen=True)
class Behavior:
    """How a card behaves; None is the normal behavior.

    charge, attach: how each is declined · authenticate: "always", or "once" for cards that can be set up ·
    dispute: the reason, or "inquiry" · refund: "pends" until it succeeds, or "fails" after it succeeded ·
    warning: the fraud type of the issuer's warning after a charge.
    """

    number: str
    brand: str = "visa"
    charge: str | None = None
    attach: str | None = None
    authenticate: str | None = None
    dispute: str | None = None
    refund: str | None = None
    warning: str | None = None


CARDS = {
    "visa": Behavior("4242424242424242"),
    "visa_debit": Behavior("4000056655665556"),
    "mastercard": Behavior("5555555555554444", "mastercard"),
    "amex": Behavior("378282246310005", "amex"),
    "discover": Behavior("6011111111111117", "discover"),
    "chargeDeclined": Behavior("4000000000000002", charge="generic_decline", attach="generic_decline"),
    "visa_chargeDeclined": Behavior("4000000000000002", charge="generic_decline", attach="generic_decline"),
    "chargeDeclinedInsufficientFunds": Behavior(
        "4000000000009995", charge="insufficient_funds", attach="insufficient_funds"
    ),
    "chargeDeclinedLostCard": Behavior("4000000000009987", charge="lost_card", attach="lost_card"),
    "chargeDeclinedStolenCard": Behavior("4000000000009979", charge="stolen_card", attach="stolen_card"),
    "chargeDeclinedExpiredCard": Behavior("4000000000000069", charge="expired_card", attach="expired_card"),
    "chargeDeclinedIncorrectCvc": Behavior("4000000000000127", charge="incorrect_cvc", attach="incorrect_cvc"),
    "chargeDeclinedProcessingError": Behavior(
        "4000000000000119", charge="processing_error", attach="processing_error"
    ),
    "chargeCustomerFail": Behavior("4000000000000341", charge="generic_decline"),
    "authenticationRequiredOnSetup": Behavior("4000002500003155", authenticate="once"),
    "authenticationRequired": Behavior("4000002760003184", authenticate="always"),
    "threeDSecure2Required": Behavior("4000000000003220", authenticate="always"),
    "threeDSecureRequired": Behavior("4000000000003220", authenticate="always"),
    "authenticationRequiredChargeDeclinedInsufficientFunds": Behavior(
        "4000008260003178", authenticate="always", charge="insufficient_funds"
    ),
    "createDispute": Behavior("4000000000000259", dispute="fraudulent"),
    "createDisputeProductNotReceived": Behavior("4000000000002685", dispute="product_not_received"),
    "createDisputeInquiry": Behavior("4000000000001976", dispute="inquiry"),
    "createIssuerFraudRecord": Behavior("4000000000005423", warning="made_with_stolen_card"),
    "pendingRefund": Behavior("4000000000007726", refund="pends"),
    "refundFail": Behavior("4000000000005126", refund="fails"),
}
BY_NUMBER = {card.number: card for card in CARDS.values()}
IBANS = {
    "AT611904300234573201": "succeeds",
    "AT321904300235473204": "succeeds",
    "DE89370400440532013000": "succeeds",
    "AT861904300235473202": "fails",
    "DE62370400440532013001": "fails",
    "IT60X0542811101000000123456": "fails",
}
MESSAGES = {
    "generic_decline": ("card_declined", "Your card was declined."),
    "insufficient_funds": ("card_declined", "Your card has insufficient funds."),
    "lost_card": ("card_declined", "Your card was declined."),
    "stolen_card": ("card_declined", "Your card was declined."),
    "expired_card": ("expired_card", "Your card has expired."),
    "incorrect_cvc": ("incorrect_cvc", "Your card's security code is incorrect."),
    "processing_error": (
        "processing_error",
        "An error occurred while processing your card. Try again in a little bit.",
    ),
    "authentication_not_handled": (
        "authentication_required",
        "Your card was declined. This transaction requires authentication.",
    ),
    "authentication_required": (
        "authentication_required",
        "Your card was declined. This transaction requires authentication.",
    ),
}


def named(name: str) -> Behavior | None:
    """Return the card behind pm_card_visa, tok_visa and similar names."""
    for prefix in ("pm_card_", "tok_"):
        if name.startswith(prefix):
            return CARDS.get(name.removeprefix(prefix))
    return None


def numbered(number: str) -> Behavior:
    """Return the card with a number. Raises CardError for one that isn't a test card."""
    digits = number.replace(" ", "").replace("-", "")
    if not digits.isdigit() or not 12 <= len(digits) <= 19 or not luhn(digits):
        raise CardError("Your card number is incorrect.", code="incorrect_number", param="number")
    if digits not in BY_NUMBER:
        words = "Your card was declined. Your request was in test mode, but used a non test card."
        raise CardError(words, code="card_declined", decline_code="test_mode_live_card", param="number")
    return BY_NUMBER[digits]


def luhn(digits: str) -> bool:
    """Return whether a number's check digit is right."""
    doubled = [int(d) * (2 if place % 2 else 1) for place, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def card_fields(card: Behavior, exp_month: int, exp_year: int) -> Json:
    """Return a payment method's card, and its behavior."""
    shown = {
        "brand": card.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": "US",
        "display_brand": card.brand,
        "exp_month": exp_month,
        "exp_year": exp_year,
        "fingerprint": hashlib.sha256(card.number.encode()).hexdigest()[:16],
        "funding": "credit",
        "generated_from": None,
        "last4": card.number[-4:],
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }
    return {"type": "card", "card": shown, "_": asdict(card) | {"number": None, "trusted": False}}


def iban_fields(iban: str) -> Json:
    """Return a SEPA payment method. Raises StripeError for an IBAN that isn't a test IBAN."""
    compact = iban.replace(" ", "").upper()
    if compact not in IBANS:
        raise StripeError(
            "The IBAN you provided is invalid.", code="invalid_bank_account_iban", param="sepa_debit[iban]"
        )
    shown = {
        "bank_code": compact[4:9],
        "branch_code": "",
        "country": compact[:2],
        "fingerprint": hashlib.sha256(compact.encode()).hexdigest()[:16],
        "generated_from": {"charge": None, "setup_attempt": None},
        "last4": compact[-4:],
    }
    return {"type": "sepa_debit", "sepa_debit": shown, "_": {"settles": IBANS[compact]}}


def declined(reason: str, **more: Any) -> CardError:
    """Return the error for a decline: Stripe's general code, and the bank's reason."""
    code, message = MESSAGES[reason]
    return CardError(message, code=code, decline_code=reason, **more)
