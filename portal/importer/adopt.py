"""Importing customers and subscriptions of a Stripe account, in batches that can be repeated."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from sqlalchemy import select, update

from portal import audit, gateway, mail
from portal.billing import invoices, subscriptions
from portal.customers import owners
from portal.customers import stripe_customers as customers_stripe_customers
from portal.enums import Mode
from portal.extensions import db
from portal.models import StripeCustomer, Subscription

One = TypeVar("One")

BATCH = 100
ADOPTED = ("new", "linked")


@dataclass(frozen=True)
class Wish:
    """The operator's options: a dry run, and a mail to each new unclaimed user."""

    dry_run: bool = False
    claim_mails: bool = False


@dataclass(frozen=True)
class Outcome:
    """A customer at Stripe, and the result."""

    stripe_id: str
    email: str
    what: str  # new, linked, known, without an email address, of the other mode


def people(mode: Mode, wish: Wish) -> Iterator[Outcome]:
    """Give every customer of the Stripe account a user here; commits each batch. Raises StripeUnavailable.

    It is the account that has verified their address ("linked"), else an unclaimed user of its own ("new").
    """
    for batch in _batches(gateway.of(mode).every_customer()):
        done = [_adopt(mode, found, wish) for found in batch]
        db.session.commit()
        if not wish.dry_run:
            for outcome in done:
                if outcome.what in ADOPTED:
                    customers_stripe_customers.sync(mode, outcome.stripe_id)  # its card and test clock
        yield from done


def plans(mode: Mode) -> Iterator[bool]:
    """Sync every active subscription with its invoices, and yield whether each is ours. Commits each."""
    for batch in _batches(gateway.of(mode).running_subscriptions()):
        ours = set(_known(mode, [found.customer for found in batch]))
        db.session.commit()
        for found in batch:
            if found.customer in ours:
                _sync_plan(mode, found.id)
                _sync_invoices(mode, found.id)
            yield found.customer in ours


def _sync_plan(mode: Mode, subscription_id: str) -> None:
    """Sync a subscription. If it was unknown here, the figures have it as an opening, not as new. Commits."""
    snapshot = subscriptions.read(mode, subscription_id)
    is_new = subscriptions.by_stripe_id(mode, subscription_id) is None
    if subscriptions.apply(snapshot) and is_new:
        row = update(Subscription).filter_by(mode=mode, stripe_id=subscription_id)
        db.session.execute(row.values(mrr_opening=Subscription.mrr > 0))
    db.session.commit()


def _adopt(mode: Mode, found: gateway.Customer, wish: Wish) -> Outcome:
    email = owners.normalized(found.email)
    what = _judge(mode, found, email)
    if what in ADOPTED and not wish.dry_run:
        _write(mode, found.id, email, wish)
    return Outcome(found.id, email, what)


def _judge(mode: Mode, found: gateway.Customer, email: str) -> str:
    if _known(mode, [found.id]):
        return "known"
    if found.metadata.get("portal_mode") not in (None, mode):
        return "of the other mode"
    if "@" not in email or len(email) > 254:
        return "without a mail address"
    return "linked" if owners.proven(email) else "new"


def _write(mode: Mode, stripe_customer: str, email: str, wish: Wish) -> None:
    user = owners.of(email)
    customer = customers_stripe_customers.of(user, mode)
    customers_stripe_customers.add_name(customer, stripe_customer, email)
    key = f"customer.adopted:{mode}:{stripe_customer}"
    audit.record("customer.adopted", customer_id=customer.id, user_id=user.id, subject=stripe_customer, key=key)
    if wish.claim_mails and not user.is_claimed:
        mail.queue(user, "claim", f"claim:adopted:{user.id}", moved=True)


def _sync_invoices(mode: Mode, subscription_id: str) -> None:
    """Sync the newest invoices without mails: their payers heard of them from the previous system."""
    for snapshot in invoices.read_latest(mode, subscription_id):
        invoices.apply(snapshot, tell=False)
        db.session.commit()


def _known(mode: Mode, stripe_customers: list[str]) -> list[str]:
    query = select(StripeCustomer.stripe_id).where(
        StripeCustomer.mode == mode, StripeCustomer.stripe_id.in_(stripe_customers)
    )
    return [name for name in db.session.execute(query).scalars() if name]


def _batches(listed: Iterable[One]) -> Iterator[list[One]]:
    """Yield batches, each fetched with no transaction open."""
    rest = iter(listed)
    while batch := _fetched(rest):
        yield batch


def _fetched(rest: Iterator[One]) -> list[One]:
    db.session.commit()
    return list(islice(rest, BATCH))
