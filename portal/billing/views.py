"""Pricing, checkout, and the billing page."""

from flask import Blueprint, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required

from portal import mail
from portal.api.rate_limits import per_person
from portal.billing import plan_checkout, subscriptions
from portal.billing.lifecycle import trials
from portal.billing.pricing import allowed_prices, currencies
from portal.billing.pricing import offers as pricing_offers
from portal.billing.status import page
from portal.billing.upcoming import mine, refresh
from portal.catalogue import items, plans
from portal.customers import access, stripe_customers
from portal.enums import Mode
from portal.errors import InvalidInput
from portal.extensions import db, limiter, reading, writes
from portal.models import Customer
from portal.settings import current_settings

blueprint = Blueprint("billing", __name__)

CHOICE = "purchase_choice"  # a visitor's choice before signing up, stored by a POST with CSRF
CHOICE_IN_WORDS = "purchase_words"  # the same as text for the sign-up page: "Pro, $49.99 a month"

PER_ADDRESS = "30/minute"
PER_CUSTOMER = "10/minute"


@blueprint.get("/")
def home() -> ResponseReturnValue:
    """Redirect to the pricing page."""
    return redirect(url_for("billing.pricing"))


@blueprint.get("/pricing")
def pricing() -> ResponseReturnValue:
    """Show the plans, by month or by year."""
    cycle = request.args.get("cycle", "month")
    if cycle not in pricing_offers.CYCLES:
        raise InvalidInput("Plans are paid by month or by year.", errors={"cycle": "month or year"})
    customer = mine_or_none()
    charged, running = currencies.of(customer)
    allowed = allowed_prices.on_sale(charged.currency)
    everything = plans.every_plan()
    held = access.of(customer, plans=everything, subscriptions=running) if customer else None
    return render_template(
        "billing/pricing.html",
        cycle=cycle,
        offers=pricing_offers.offers(
            everything, cycle, held, charged, has_trial=trials.is_there(customer, everything)
        ),
        has_yearly=plans.has_yearly(everything),
        others=pricing_offers.others(allowed, held, {one.price_id for one in running}, charged),
        is_complete=allowed.is_complete,
    )


@blueprint.post("/billing/checkout")
@limiter.limit(PER_ADDRESS)
@per_person(PER_CUSTOMER)
def checkout() -> ResponseReturnValue:
    """Order a plan and redirect to Stripe; a visitor signs up first."""
    word = request.form.get("price", "").strip()
    if not word:
        raise InvalidInput("Choose a plan first.", errors={"price": "required"}, money="You were not charged.")
    if not current_user.is_authenticated:
        session[CHOICE], session[CHOICE_IN_WORDS] = word, pricing_offers.in_words(items.find(word, Mode.LIVE))
        return redirect(url_for("sign_in.signup", next=url_for("billing.order_chosen")), 303)
    return _go(word)


@blueprint.get("/billing/resume")
@writes
@login_required
@per_person(PER_CUSTOMER)
def order_chosen() -> ResponseReturnValue:
    """Continue with the order that was chosen before sign-up, once."""
    if CHOICE not in session:
        return redirect(url_for("billing.pricing"))
    answer = _go(session[CHOICE])
    for kept in (CHOICE, CHOICE_IN_WORDS):  # only now, so that a failed start can be repeated
        session.pop(kept, None)
    return answer


def _go(word: str) -> ResponseReturnValue:
    customer = stripe_customers.of(current_user.user)
    db.session.commit()
    order = plan_checkout.choose(customer, word, front=current_settings().base_url)
    if order.session_url is None:
        return redirect(url_for("success.page", order=order.number), 303)
    return redirect(order.session_url, 303)


@blueprint.get("/billing")
@login_required
def overview() -> ResponseReturnValue:
    """Show what is charged and when, each subscription, the payment method and the invoices.

    A copy that is older than five minutes is synced with Stripe first. The page itself only reads.
    """
    named = mine.named(current_user.user)
    if named is None:
        return render_template("billing/overview.html", plan_name=access.of(None).plan_name)
    running = mine.subscriptions_of(named)
    if refresh.is_stale(named.customer.mode, named.names, list(running)):
        db.session.rollback()
        refresh.bring_up_to_date(named.customer)
        reading()
        named = mine.named(current_user.user) or named
        running = mine.subscriptions_of(named)
    return render_template("billing/overview.html", **page.of(named, running))


@blueprint.post("/billing/portal")
@login_required
@per_person(PER_CUSTOMER)
def portal() -> ResponseReturnValue:
    """Redirect to Stripe's portal for the card and billing details. `subscription` says whose, if there are
    several.

    With `flow=payment_method_update` it opens the page that changes the card, and returns here.
    """
    customer = stripe_customers.of(current_user.user)
    stripe_customer = _payer_of(customer, request.form.get("subscription", ""))
    then = request.form.get("then", "")  # the plan whose change waits for a card
    to_card = bool(then) or request.form.get("flow") == "payment_method_update"
    back = mail.external("plan.choose", price=then) if then else mail.external("billing.overview")
    return redirect(stripe_customers.portal_url(customer, stripe_customer, back, to_card=to_card), 303)


def _payer_of(customer: Customer, subscription_id: str) -> str | None:
    """Return the customer id at Stripe that pays for this subscription. Raises NotFound for someone else's."""
    if not subscription_id:
        return None
    found = subscriptions.by_stripe_id(customer.mode, subscription_id)
    return access.own_or_404(found, customer).stripe_customer


def mine_or_none() -> Customer | None:
    """Return the signed-in user's live customer; None for visitors, and before the first order or key."""
    return stripe_customers.find(current_user.user) if current_user.is_authenticated else None
