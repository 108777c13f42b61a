"""Pay as you go: the card is saved first, then the one metered subscription is created, only here."""

from dataclasses import dataclass

import structlog
from sqlalchemy import exists, func, select, update

from portal import audit, clock, gateway, mail
from portal.catalogue import meters
from portal.catalogue.items import Item
from portal.customers import clusters, suspensions
from portal.enums import Mode
from portal.errors import Conflict, StripeUnavailable
from portal.extensions import db, insert
from portal.models import Customer, Meter, Order, SubscriptionStatus, UsageAgreement
from portal.models.suspension import SuspensionReason
from portal.orders import checkout, fulfillment
from portal.orders.sessions import ID_PLACEHOLDER
from portal.sync import idempotency, open_calls

log = structlog.get_logger()


class NotOnSale(Conflict):
    """A meter's price is archived at Stripe, which creates no new subscription with it."""

    code = "not_on_sale"
    title = "Pay as you go is not available"


class AlreadyAgreed(Conflict):
    """The customer already has an agreement."""

    code = "already_agreed"
    title = "Pay as you go is on already"


@dataclass(frozen=True)
class Consent:
    """A completed setup: the order, and the payment method that was saved for it."""

    order_id: int
    stripe_customer: str
    method: str


@dataclass(frozen=True)
class Agreed:
    """The agreement that a completed setup created."""

    agreement: UsageAgreement


def running(customer_id: int) -> UsageAgreement | None:
    """Return the customer's agreement that has not ended. Its subscription may not exist yet."""
    query = select(UsageAgreement).filter_by(customer_id=customer_id, ended_at=None)
    return db.session.execute(query).scalar_one_or_none()


def start(customer: Customer, *, success_url: str, cancel_url: str) -> Order:
    """Return an order whose checkout page saves a card; repeating it returns the same order. Commits.

    Raises AlreadyAgreed, NotOnSale, and StripeUnavailable while the meters' prices are not at Stripe.
    """
    refuse_second(customer)
    check_on_sale(customer.mode)
    _prices(customer.mode)
    before = select(func.count()).select_from(UsageAgreement).filter_by(customer_id=customer.id)
    nonce = f"usage:{db.session.execute(before).scalar_one()}"  # one open order for each future agreement
    currency = meters.on_sale()[0].currency
    item = Item("usage", "usage", "Pay as you go", None, 0, currency, interval=None, stripe_id=None)
    db.session.commit()
    return checkout.start(
        customer, item, checkout.Way(f"{success_url}?session_id={ID_PLACEHOLDER}", cancel_url, nonce)
    )


def is_on_sale(mode: Mode) -> bool:
    """Return whether new agreements are possible: none of the meters' prices is archived at Stripe."""
    return not any(meter.is_archived(mode) for meter in meters.on_sale())


def check_on_sale(mode: Mode) -> None:
    """Raise NotOnSale if no new agreement is possible."""
    if not is_on_sale(mode):
        raise NotOnSale(
            "Pay as you go is not available to new customers right now. You can buy credits instead.",
            money="You were not charged.",
            action=("/credits", "See credits"),
        )


def _prices(mode: Mode) -> list[str]:
    """List the Stripe prices of every meter."""
    found = [meter.stripe_id(mode) for meter in meters.on_sale()]
    if not found or None in found:
        raise StripeUnavailable("Pay as you go cannot be started yet: its prices are not at Stripe.")
    return [price for price in found if price]


def read_consent(mode: Mode, session: gateway.Session) -> Consent | None:
    """Fetch what a setup saved; return None for an order that is already fulfilled. Commits before the call."""
    order = fulfillment.find(mode, session)
    assert session.customer is not None
    assert session.setup_intent is not None
    if order is None or order.paid_at:
        return None
    db.session.commit()
    method = gateway.of(mode).set_up_method(session.setup_intent)
    if method is None:
        raise StripeUnavailable("The card is still being saved.")
    return Consent(order.id, session.customer, method)


def act(consent: Consent) -> Agreed:
    """Make the saved method the default, and create the subscription. Commits several times.

    Called with no transaction open by webhooks, success pages and replays. It claims, calls and confirms, so that
    any number of calls create one subscription.
    """
    order = db.session.get_one(Order, consent.order_id)
    name, method, lane = consent.stripe_customer, consent.method, gateway.of(order.mode)
    idempotency.call(
        order,
        lambda key: lane.set_default_method(name, method, key),
        "default",
        find=lambda _named: charged_to(lane, name, method),
    )
    return Agreed(agree(order.customer_id, order.mode, name))


def charged_to(lane: gateway.Lane, stripe_customer: str, method: str) -> gateway.Customer | None:
    """Return the customer if their invoices are charged to this method."""
    found = lane.customer(stripe_customer)
    return found if found.payment_method == method else None


def refuse_second(customer: Customer) -> None:
    """Raise AlreadyAgreed if pay as you go is on."""
    if running(customer.id):
        raise AlreadyAgreed(
            "Pay as you go runs already: what is used is charged to the saved card.",
            action=("/usage", "See your usage"),
        )


def agree(customer_id: int, mode: Mode, stripe_customer: str) -> UsageAgreement:
    """Return the one agreement with its subscription at Stripe, creating both if needed. Commits several times."""
    agreement = _claim(customer_id, mode, stripe_customer)
    if agreement.subscription_id is None:
        resume(agreement)
    return agreement


def _claim(customer_id: int, mode: Mode, stripe_customer: str) -> UsageAgreement:
    """Write the row of the one agreement. If two requests are concurrent, the database accepts one. Commits."""
    params = {
        "customer": stripe_customer,
        "items": [{"price": price} for price in _prices(mode)],  # no quantity, because usage is metered
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
    """Call and confirm, from the row alone. Does nothing if it has its subscription or has ended. Commits."""
    if agreement.subscription_id is not None or agreement.ended_at is not None:
        idempotency.close(agreement)
        return
    lane = gateway.of(agreement.mode)
    params = agreement.params | {"metadata": agreement.params["metadata"] | {"agreement": str(agreement.id)}}
    made = idempotency.call(
        agreement,
        lambda key: lane.create_subscription(params, key),
        find=lambda named: _at_stripe(agreement, named),
        money=True,
    )
    confirm = update(UsageAgreement).where(UsageAgreement.id == agreement.id)
    db.session.execute(confirm.values(subscription_id=made.id))
    db.session.commit()


def _at_stripe(agreement: UsageAgreement, named: str) -> gateway.Subscription | None:
    """Return the subscription that this agreement created, found by our metadata, or the one that an admin
    named.
    """
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


def give(order: Order, bought: Agreed) -> None:
    """Confirm the order. The saved card and the agreement lift suspensions for a missing one. Flushes."""
    agreement = bought.agreement
    order.subscription_id = agreement.subscription_id
    audit.record(
        "usage.started",
        customer_id=order.customer_id,
        subject=agreement.subscription_id or "",
        key=f"usage.started:{order.number}",
    )
    key = f"usage-started:{order.number}"
    mail.tell(order.customer, "usage_started", key, page=mail.external("usage.index"))
    no_method = SuspensionReason.NO_PAYMENT_METHOD
    suspensions.lift(order.customer_id, no_method, about=order.number)
    suspensions.review(order.customer_id, about=order.number)


def is_ours(mode: Mode, facts: gateway.Subscription) -> bool:
    """Return whether a metered subscription is pay as you go, and not of another product of the same account."""
    if facts.metadata.get("kind") == "usage" or facts.metadata.get("agreement"):
        return True
    column = Meter.live_price_id if mode == Mode.LIVE else Meter.test_price_id
    ours = exists().where(column.in_([item.price.id for item in facts.items]))
    known = exists().where(UsageAgreement.mode == mode, UsageAgreement.subscription_id == facts.id)
    return bool(db.session.execute(select(ours | known)).scalar())


def follow(customer_id: int, mode: Mode, facts: gateway.Subscription) -> None:
    """Apply the state of a metered subscription to its agreement: confirmed, adopted, or ended. Flushes."""
    agreement = _known(customer_id, mode, facts)
    if SubscriptionStatus(facts.status).is_final:
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


def _known(customer_id: int, mode: Mode, facts: gateway.Subscription) -> UsageAgreement | None:
    """Return the agreement of a subscription, found by its id, else (if its call is not confirmed yet) by our
    own metadata.
    """
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


def _adopt(customer_id: int, mode: Mode, facts: gateway.Subscription) -> None:
    """Make a metered subscription that was created elsewhere the agreement, if there is no other."""
    row = {"customer_id": customer_id, "mode": mode, "params": {}, "attempt": 1, "subscription_id": facts.id}
    statement = insert(UsageAgreement).values(row | {"created_at": facts.created}).on_conflict_do_nothing()
    db.session.execute(statement)


def _verify(mode: Mode, facts: gateway.Subscription) -> None:
    """Log an error if a meter's price is missing from the subscription."""
    wanted = {meter.stripe_id(mode) for meter in meters.on_sale()}
    missing = wanted - {item.price.id for item in facts.items}
    if missing:
        log.error("usage_subscription_differs", subscription=facts.id, missing=sorted(map(str, missing)))
