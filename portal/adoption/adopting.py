"""Adopting customers and subscriptions of a Stripe account: in batches, again and again without harm."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from sqlalchemy import select

from portal import audit, gateway, mail
from portal.billing import invoices, subscriptions
from portal.customers import owners
from portal.extensions import db
from portal.models import StripeCustomer
from portal.purchases import customers

One = TypeVar("One")

BATCH = 100
ADOPTED = ("new", "linked")


@dataclass(frozen=True)
class Wish:
    """What the operator wants: nothing written, a mail to each unclaimed user that is made."""

    dry_run: bool = False
    claim_mails: bool = False


@dataclass(frozen=True)
class Outcome:
    """One customer at Stripe and what became of them."""

    stripe_id: str
    email: str
    what: str  # new, linked, known, without a mail address, of the other mode


def people(mode: str, wish: Wish) -> Iterator[Outcome]:
    """Give every customer of the Stripe account a user here; commits each batch. Raises StripeUnavailable.

    That is the account that has proven their address ("linked"), else an unclaimed user of their own ("new").
    """
    for batch in _batches(gateway.of(mode).every_customer()):
        done = [_adopt(mode, found, wish) for found in batch]
        db.session.commit()
        if not wish.dry_run:
            for outcome in done:
                if outcome.what in ADOPTED:
                    customers.sync(mode, outcome.stripe_id)  # its card, and its test clock
        yield from done


def plans(mode: str) -> Iterator[bool]:
    """Sync every subscription that runs, with its invoices; whether each is ours. Commits each."""
    for batch in _batches(gateway.of(mode).running_subscriptions()):
        ours = set(_known(mode, [found.customer for found in batch]))
        db.session.commit()
        for found in batch:
            if found.customer in ours:
                subscriptions.sync(mode, found.id)
                db.session.commit()
                _sync_invoices(mode, found.id)
            yield found.customer in ours


def _adopt(mode: str, found: gateway.Customer, wish: Wish) -> Outcome:
    email = owners.normalized(found.email)
    what = _judge(mode, found, email)
    if what in ADOPTED and not wish.dry_run:
        _write(mode, found.id, email, wish)
    return Outcome(found.id, email, what)


def _judge(mode: str, found: gateway.Customer, email: str) -> str:
    if _known(mode, [found.id]):
        return "known"
    if found.metadata.get("portal_mode") not in (None, mode):
        return "of the other mode"
    if "@" not in email or len(email) > 254:
        return "without a mail address"
    return "linked" if owners.proven(email) else "new"


def _write(mode: str, stripe_customer: str, email: str, wish: Wish) -> None:
    user = owners.of(email)
    customer = customers.of(user, mode)
    customers.add_name(customer, stripe_customer, email)
    key = f"customer.adopted:{mode}:{stripe_customer}"
    audit.record("customer.adopted", customer_id=customer.id, user_id=user.id, subject=stripe_customer, key=key)
    if wish.claim_mails and not user.is_claimed:
        mail.queue(user, "claim", f"claim:adopted:{user.id}", moved=True)


def _sync_invoices(mode: str, subscription_id: str) -> None:
    """The newest invoices, told to nobody: their payers heard of them from whoever sent them."""
    for snapshot in invoices.read_latest(mode, subscription_id):
        invoices.apply(snapshot, tell=False)
        db.session.commit()


def _known(mode: str, stripe_customers: list[str]) -> list[str]:
    query = select(StripeCustomer.stripe_id).where(
        StripeCustomer.mode == mode, StripeCustomer.stripe_id.in_(stripe_customers)
    )
    return [name for name in db.session.execute(query).scalars() if name]


def _batches(listed: Iterable[One]) -> Iterator[list[One]]:
    """So many at a time, each fetched with no transaction open."""
    rest = iter(listed)
    while batch := _fetched(rest):
        yield batch


def _fetched(rest: Iterator[One]) -> list[One]:
    db.session.commit()
    return list(islice(rest, BATCH))
