"""The billing page of a customer on a test clock: what it says, and what Stripe then charges."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from flask import current_app, render_template

from portal.billing.status import page
from portal.billing.upcoming import mine, refresh
from portal.billing.upcoming.charges import Charge
from portal.enums import Mode
from portal.extensions import db
from tests.support.clocked import Clocked

STEP = 13 * 86400  # a clock takes two of the shortest intervals at once: two weeks


@dataclass(frozen=True)
class Seen:
    """The words of the page, and its list of charges."""

    text: str
    charges: list[Charge]

    @property
    def dated(self) -> list[Charge]:
        """What will be charged on a date, soonest first."""
        return [one for one in self.charges if one.at and one.is_sure]

    @property
    def next(self) -> tuple[datetime, int] | None:
        """When the next charge comes, and how much it is: all of that moment."""
        if not self.dated:
            return None
        at = self.dated[0].at
        amounts = [one.amount for one in self.dated if one.at == at]
        assert at is not None
        assert None not in amounts, self.charges
        return at, sum(one for one in amounts if one is not None)

    @property
    def open(self) -> int:
        """What can be paid now."""
        return sum(one.amount or 0 for one in self.charges if one.action_label in ("Pay now", "Confirm payment"))


def read(clocked: Clocked) -> Seen:
    """Open the page: Stripe is asked again, whatever was asked before."""
    user, app = clocked.customer.user, current_app
    db.session.commit()
    assert refresh.bring_up_to_date(clocked.customer)
    db.session.expire_all()  # a request has a session of its own
    with app.test_request_context("/billing"):
        named = mine.named(user, Mode.TEST)
        assert named is not None
        shown = page.of(named, mine.subscriptions_of(named))
        html = render_template("billing/overview.html", credit_balance=lambda: 0, **shown)
    db.session.commit()
    words = re.sub(r"<(script|style|title)\b.*?</\1>|<[^>]+>", " ", html, flags=re.S)
    text = " ".join(words.replace("&#39;", "'").replace("&amp;", "&").split())
    return Seen(text, shown["charges"])


def charged(clocked: Clocked, since: datetime) -> int:
    """What the invoices created from then on ask for, whether or not they are paid."""
    listed = clocked.stripe.invoices.list({"customer": clocked.stripe_customer, "limit": 20}).data
    return sum(one.amount_due for one in listed if one.created >= since.timestamp() and one.status != "void")


def now(clocked: Clocked) -> datetime:
    """The time on the clock."""
    frozen = clocked.stripe.test_helpers.test_clocks.retrieve(clocked.clock).frozen_time
    return datetime.fromtimestamp(frozen, UTC)


def advance_to(clocked: Clocked, moment: datetime) -> None:
    """Let the time come, in steps that the clock takes. Its webhooks are lost: the page asks Stripe by itself."""
    clocks = clocked.stripe.test_helpers.test_clocks
    at, end = int(now(clocked).timestamp()), int(moment.timestamp())
    while at < end:
        at = min(end, at + STEP)
        clocks.advance(clocked.clock, {"frozen_time": at})
    clocked.here.control("deliveries/discard")
