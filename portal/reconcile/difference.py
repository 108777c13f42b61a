"""What a reconciliation finds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """Two things that should agree. `about` is an id: a customer's, an order's number, or Stripe's."""

    mode: str
    what: str
    about: str
    expected: str
    found: str

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return REMEDIES.get(self.what, RESYNC)


RESYNC = "Press Resync on the customer's page in the admin pages: it reads everything of theirs from Stripe again."
REMEDIES = {
    "balance": "The entries are right: set customers.credit_balance to their sum, and keep a backup before.",
    "order": f"{RESYNC} An order without a session at Stripe was paid elsewhere or never: look at it first.",
    "refund order": "Look at the payment in the Stripe Dashboard: it may have been refunded twice. A refund "
    "cannot be taken back.",
    "top-up": f"{RESYNC} That pauses the top-up; the customer turns it on again.",
    "expiry": f"{RESYNC} That puts the credits back.",
    "grants": f"{RESYNC} Then no more expires than the balance holds.",
    "bill": f"{RESYNC} That gives the credits back.",
}
