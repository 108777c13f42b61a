"""Whether a webhook really comes from Stripe: Stripe's own verifier, and a bound on the future beside it."""

import re
from datetime import datetime

import stripe

TOLERANCE_SECONDS = 300
TIMESTAMP = re.compile(r"(?:^|,)t=(\d{1,12})(?:,|$)")


class BadSignature(Exception):
    """The delivery proves nothing. The text says why and holds no part of the signature."""


def verify(body: bytes, header: str, secrets: tuple[str, ...], now: datetime) -> None:
    """Check a delivery against each secret (two while one is rolled). Raises BadSignature.

    Stripe's verifier bounds only the past, so a time more than 300 s ahead is refused here.
    """
    found = TIMESTAMP.search(header) if header.isascii() else None
    if found is None:
        raise BadSignature("no timestamp in the Stripe-Signature header")
    if int(found[1]) > now.timestamp() + TOLERANCE_SECONDS:
        raise BadSignature("the timestamp lies in the future")
    reasons = []
    for secret in secrets:
        try:
            stripe.WebhookSignature.verify_header(body, header, secret, TOLERANCE_SECONDS)
        except stripe.SignatureVerificationError as error:
            reasons.append("too old" if "tolerance" in str(error) else "no matching signature")
        except UnicodeDecodeError:
            raise BadSignature("the body is not UTF-8") from None
        else:
            return
    raise BadSignature(max(reasons, default="no secret"))


def sign(body: bytes, secret: str, now: datetime) -> str:
    """The header that Stripe would send with this body."""
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), secret, int(now.timestamp()))
    return str(header)
