"""What a customer must not miss about a subscription."""

from dataclasses import dataclass
from datetime import timedelta

from portal.billing import words
from portal.models import Subscription


@dataclass(frozen=True)
class Banner:
    """A sentence and one thing to do; `kind` is info, warning or negative."""

    kind: str
    text: str
    action_url: str | None = None
    action_label: str | None = None


def of(subscription: Subscription, grace: timedelta) -> list[Banner]:
    """The banners of one subscription: a failed payment, an open first payment."""
    if subscription.status in ("past_due", "unpaid"):
        return [Banner("negative", words.status(subscription, grace))]
    if subscription.status == "incomplete":
        return [Banner("warning", words.OTHERS["incomplete"])]
    return []
