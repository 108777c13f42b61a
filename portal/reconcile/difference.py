"""The result of a reconciliation."""

from dataclasses import dataclass

from portal.enums import Mode


@dataclass(frozen=True)
class Difference:
    """Two values that should be equal. `about` is an id: a customer's, an order's number, or Stripe's."""

    mode: Mode
    what: str
    about: str
    expected: str
    found: str

    @property
    def remedy(self) -> str:
        """Return what to do about it."""
        return REMEDIES.get(self.what, RESYNC)

    @property
    def is_note(self) -> bool:
        """Return whether it is only a notice: someone has to check it, and may find that nothing is wrong."""
        return self.what in NOTES


NOTES = frozenset(("unproven address",))
RESYNC = "Press Resync on the customer's page in the admin pages: it reads everything of theirs from Stripe again."
REMEDIES = {
    "balance": "The entries are right: set customers.credit_balance to their sum, and keep a backup before.",
    "order": f"{RESYNC} An order without a session at Stripe was paid elsewhere or never: look at it first.",
    "refund order": "Look at the payment in the Stripe Dashboard: it may have been refunded twice. A refund "
    "cannot be taken back.",
    "top-up": f"{RESYNC} That pauses the top-up; the customer turns it on again.",
    "expiry": f"{RESYNC} That puts the credits back.",
    "MRR": "The movements are right: set subscriptions.mrr_booked, or the amount in daily_figures, to their sum, "
    "and keep a backup before. `flask tick` then books what is left to book.",
    "grants": f"{RESYNC} Then no more expires than the balance holds.",
    "unproven address": "Whoever made the account may not be the buyer. Write to the address that Stripe has for "
    "the payment: its owner verifies it on /account, or by a new password at /password/forgot. If the account is "
    "somebody else's, revoke its keys, end the plan and refund it on the account's admin page.",
    "open call": "`flask tick` looks for what it did for a day. Where the same call is named again an hour later, "
    "check that the tick runs.",
    "unclear call": 'Look at Stripe, then press "It happened" or "Do it again" on the admin overview.',
    "plan change": "Look at the subscription's newest invoice in the Stripe Dashboard, and pay or void it there. "
    "`flask tick` then brings the plan to where it is.",
    "price": "Run `flask catalogue push`: it records which prices are archived, which are then not offered, and "
    "creates a new price in place of each, except where a setting names the price. To offer the price itself "
    "again, make it and its product active in the Stripe Dashboard.",
    "bill": f"{RESYNC} That gives the credits back.",
}
