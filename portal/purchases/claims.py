"""Claim → call → confirm (money rule 4): the middle step, for every call to Stripe that has an effect."""

from collections.abc import Callable
from typing import TypeVar

from portal.errors import StripeRefused, StripeUnavailable
from portal.extensions import db
from portal.models import (
    MonthlyBill,
    PaymentLink,
    Purchase,
    RefundOrder,
    StripeCustomer,
    SubscriptionChange,
    TrialUse,
    UsageAgreement,
    Voiding,
)

Answer = TypeVar("Answer")
Claim = (
    Purchase
    | StripeCustomer
    | PaymentLink
    | RefundOrder
    | SubscriptionChange
    | TrialUse
    | Voiding
    | UsageAgreement
    | MonthlyBill
)


def call(claim: Claim, ask: Callable[[str], Answer]) -> Answer:
    """Commit the claim, then call Stripe with the idempotency key that is made of it.

    No answer: the next try repeats the same attempt, and Stripe replays what it did. An error answer: Stripe
    would replay that error for 24 hours, so the next try is a new attempt.
    """
    db.session.commit()
    try:
        return ask(f"{claim.__tablename__}-{claim.id}-{claim.created_at:%Y%m%d%H%M%S%f}-{claim.attempt}")
    except (StripeRefused, StripeUnavailable) as error:
        if isinstance(error, StripeRefused) or error.answered:
            claim.attempt += 1
            db.session.commit()
        raise
