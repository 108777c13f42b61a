"""Pay as you go: the card is saved first, then the one metered subscription is made, here and nowhere else."""

from dataclasses import dataclass

import structlog
from sqlalchemy import func, select, update

from portal import audit, clock, gateway, mail
from portal.customers import suspensions
from portal.errors import Conflict, StripeUnavailable
from portal.extensions import db, insert
from portal.models import Customer, Purchase, UsageAgreement
from portal.models.suspension import SuspensionReason
from portal.purchases import checkout, claims, fulfilment, open_calls
from portal.purchases.items import Item
from portal.usage import clusters, meters

log = structlog.get_logger()

ENDED = ("canceled", "incomplete_expired")
SESSION_ID = "{CHECKOUT_SESSION_ID}"  # Stripe puts the session's id in its place


class AlreadyAgreed(Conflict):
    """One agreement a customer is enough."""

    code = "already_agreed"
    title = "Pay as you go is on already"


@dataclass(frozen=True)
class Consent:
    """A completed setup: the order, and the payment method that was saved for it."""

    purchase_id: int
    stripe_customer: str
    method: str


@dataclass(frozen=True)
class Agreed:
    """The agreement that a completed setup led to."""

    agreement: UsageAgreement


def running(customer_id: int) -> UsageAgreement | None:
    """The customer's agreement that has not ended; its subscription may be on its way still."""
    query = select(UsageAgreement).filter_by(customer_id=customer_id, ended_at=None)
    return db.session.execute(query).scalar_one_or_none()


def start(customer: Customer, *, success_url: str, cancel_url: str) -> Purchase:
    """An order whose checkout page saves a card; twice gives the same. Commits.

    Raises AlreadyAgreed, and StripeUnavailable while the meters' prices are not at Stripe.
    """
    refuse_second(customer)
    _prices(customer.mode)
    before = select(func.count()).select_from(UsageAgreement).filter_by(customer_id=customer.id)
    nonce = f"usage:{db.session.execute(before).scalar_one()}"  # one open order for each agreement to be
    currency = meters.on_sale()[0].currency
    item = Item("usage", "usage", "Pay as you go", None, 0, currency, interval=None, stripe_id=None)
    db.session.commit()
    return checkout.start(
        customer, item, checkout.Way(f"{success_url}?session_id={SESSION_ID}", cancel_url, nonce)
    )


def _prices(mode: str) -> list[str]:
    """The Stripe prices of every meter."""
    found = [meter.stripe_id(mode) for meter in meters.on_sale()]
    if not found or None in found:
        raise StripeUnavailable("Pay as you go cannot be started yet: its prices are not at Stripe.")
    return [price for price in found if price]


def read_consent(mode: str, session: gateway.Session) -> Consent | None:
    """What a setup saved; None for an order that was done before. Commits before it asks."""
    purchase = fulfilment.find(mode, session)
    assert session.customer is not None
    assert session.setup_intent is not None
    if purchase is None or purchase.paid_at:
        return None
    db.session.commit()
    method = gateway.of(mode).set_up_method(session.setup_intent)
    if method is None:
        raise StripeUnavailable("The card is still being saved.")
    return Consent(purchase.id, session.customer, method)


def act(consent: Consent) -> Agreed:
    """Charge the saved method from now on, and make the subscription. Commits as it goes.

    Called with no transaction open, by webhook, success page and replay alike. Claims, calls and confirms, so that
    any number of them make one subscription.
    """
    purchase = db.session.get_one(Purchase, consent.purchase_id)
    name, method, lane = consent.stripe_customer, consent.method, gateway.of(purchase.mode)
    claims.call(
        purchase,
        lambda key: lane.set_default_method(name, method, key),
        "default",
        find=lambda _named: charged_to(lane, name, method),
    )
    return Agreed(agree(purchase.customer_id, purchase.mode, name))


def charged_to(lane: gateway.Lane, stripe_customer: str, method: str) -> gateway.Customer | None:
    """The customer, where their invoices are charged to this method."""
    found = lane.customer(stripe_customer)
    return found if found.payment_method == method else None


def refuse_second(customer: Customer) -> None:
    """Raise AlreadyAgreed where pay as you go is on."""
    if running(customer.id):
        raise AlreadyAgreed(
            "Pay as you go runs already: what is used is charged to the saved card.",
            action=("/usage", "See your usage"),
        )


def agree(customer_id: int, mode: str, stripe_customer: str) -> UsageAgreement:
    """The one agreement with its subscription at Stripe, made where there is none. Commits as it goes."""
    agreement = _claim(customer_id, mode, stripe_customer)
    if agreement.subscription_id is None:
        resume(agreement)
    return agreement


def _claim(customer_id: int, mode: str, stripe_customer: str) -> UsageAgreement:
    """The row of the one agreement; of two at once the database lets one in. Commits."""
    params = {
        "customer": stripe_customer,
        "items": [{"price": price} for price in _prices(mode)],  # no quantity: it is counted
        "off_session": True,
        "metadata": {"portal_mode": mode, "kind": "usage"},
    }
    row = {"customer_id": customer_id, "mode": mode, "params": params, "attempt": 1, "created_at": clock.now()}
    db.session.execute(insert(UsageAgreement).values(row).on_conflict_do_nothing())
    db.session.commit()
    agreement = running(customer_id)
    db.session.commit()
    if agreement is None:
        raise Conflict("The agreement ended at this very moment. Please start anew.")
    return agreement


def resume(agreement: UsageAgreement) -> None:
    """Call and confirm, from the row alone; nothing where it has its subscription, or has ended. Commits."""
    if agreement.subscription_id is not None or agreement.ended_at is not None:
        claims.close(agreement)
        return
    lane = gateway.of(agreement.mode)
    params = agreement.params | {"metadata": agreement.params["metadata"] | {"agreement": str(agreement.id)}}
    made = claims.call(
        agreement,
        lambda key: lane.create_subscription(params, key),
        find=lambda named: _at_stripe(agreement, named),
        money=True,
    )
    confirm = update(UsageAgreement).where(UsageAgreement.id == agreement.id)
    db.session.execute(confirm.values(subscription_id=made.id))
    db.session.commit()


def _at_stripe(agreement: UsageAgreement, named: str) -> gateway.Subscription | None:
    """The subscription that this agreement made: by our metadata, or the one that a person named."""
    made = gateway.of(agreement.mode).subscriptions(agreement.params["customer"])
    if named:
        return next((one for one in made if one.id == named and one.is_metered), None)
    return next((one for one in made if one.metadata.get("agreement") == str(agreement.id)), None)


KIND = open_calls.Kind(
    resume=resume,
    give_up=lambda agreement: None,
    reopen=lambda agreement: None,
    words=lambda agreement: f"Pay as you go for {agreement.params.get('customer')}",
)


def give(purchase: Purchase, bought: Agreed) -> None:
    """Confirm the order. The saved card and the agreement lift what was suspended for want of one. Flushes."""
    agreement = bought.agreement
    purchase.subscription_id = agreement.subscription_id
    audit.record(
        "usage.started",
        customer_id=purchase.customer_id,
        subject=agreement.subscription_id or "",
        key=f"usage.started:{purchase.number}",
    )
    key = f"usage-started:{purchase.number}"
    mail.tell(purchase.customer, "usage_started", key, page=mail.external("usage.index"))
    no_method = SuspensionReason.NO_PAYMENT_METHOD
    suspensions.lift(purchase.customer_id, no_method, about=purchase.number)
    suspensions.review(purchase.customer_id, about=purchase.number)


def follow(customer_id: int, mode: str, facts: gateway.Subscription) -> None:
    """Draw the consequences of what a metered subscription is now: confirmed, adopted, or ended. Flushes."""
    agreement = _known(customer_id, mode, facts)
    if facts.status in ENDED:
        if agreement is not None and agreement.ended_at is None:
            agreement.ended_at = facts.ended_at or clock.now()
            db.session.flush()
            suspensions.end_of_agreement(customer_id, facts.id)
        return
    if agreement is None:
        _adopt(customer_id, mode, facts)
        suspensions.review(customer_id, about=facts.id)
    _verify(mode, facts)
    clusters.assign(customer_id)


def _known(customer_id: int, mode: str, facts: gateway.Subscription) -> UsageAgreement | None:
    """The agreement of a subscription: by its id, else (its call is not confirmed yet) by our own metadata."""
    query = select(UsageAgreement).filter_by(mode=mode, subscription_id=facts.id)
    found = db.session.execute(query).scalar_one_or_none()
    named = facts.metadata.get("agreement", "")
    if found is None and named.isdigit():
        query = select(UsageAgreement).filter_by(id=int(named), customer_id=customer_id, subscription_id=None)
        found = db.session.execute(query).scalar_one_or_none()
        if found is not None:
            found.subscription_id = facts.id
            db.session.flush()
    return found


def _adopt(customer_id: int, mode: str, facts: gateway.Subscription) -> None:
    """A metered subscription that was made elsewhere is the agreement, where there is no other."""
    row = {"customer_id": customer_id, "mode": mode, "params": {}, "attempt": 1, "subscription_id": facts.id}
    statement = insert(UsageAgreement).values(row | {"created_at": facts.created}).on_conflict_do_nothing()
    db.session.execute(statement)


def _verify(mode: str, facts: gateway.Subscription) -> None:
    """Every meter's price stands on it; where one is missing an operator should know."""
    wanted = {meter.stripe_id(mode) for meter in meters.on_sale()}
    missing = wanted - {item.price.id for item in facts.items}
    if missing:
        log.error("usage_subscription_differs", subscription=facts.id, missing=sorted(map(str, missing)))
