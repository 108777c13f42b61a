"""What a customer must not miss about a subscription."""

from dataclasses import dataclass
from datetime import timedelta

from portal.billing import words
from portal.models import Invoice, Subscription


@dataclass(frozen=True)
class Banner:
    """A sentence and one thing to do; `kind` is info, warning or negative."""

    kind: str
    text: str
    action_url: str | None = None
    action_label: str | None = None


def of(subscription: Subscription, grace: timedelta, invoices: list[Invoice]) -> list[Banner]:
    """The banners of one subscription: a failed payment, an open first payment; each leads to its open invoice."""
    if subscription.status not in ("past_due", "unpaid", "incomplete"):
        return []
    kind = "warning" if subscription.status == "incomplete" else "negative"
    pay = next((one.hosted_url for one in invoices if _is_due(one, subscription)), None)
    return [Banner(kind, words.status(subscription, grace), pay, "Pay now" if pay else None)]


def _is_due(invoice: Invoice, subscription: Subscription) -> bool:
    return invoice.status == "open" and invoice.subscription_id == subscription.stripe_id
