"""Pricing, checkout, and the billing page."""

from flask import Blueprint, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required
from sqlalchemy import select

from portal import access, clock, mail
from portal.billing import buying, invoices, overviews, plans, subscriptions, trials
from portal.errors import InvalidInput
from portal.extensions import db, limiter, writes
from portal.models import Customer, Plan
from portal.purchases import customers, items
from portal.rates import per_person
from portal.settings import current_settings

blueprint = Blueprint("billing", __name__)

CHOICE = "purchase_choice"  # what a stranger chose before signing up; a POST with CSRF put it there
CHOICE_IN_WORDS = "purchase_words"  # the same for the sign-up page: "Pro, $49.99 a month"

PER_ADDRESS = "30/minute"
PER_CUSTOMER = "10/minute"


@blueprint.get("/")
def home() -> ResponseReturnValue:
    """There is one front door: what is on sale."""
    return redirect(url_for("billing.pricing"))


@blueprint.get("/pricing")
def pricing() -> ResponseReturnValue:
    """The plans, by month or by year."""
    cycle = request.args.get("cycle", "month")
    if cycle not in plans.CYCLES:
        raise InvalidInput("Plans are paid by month or by year.", errors={"cycle": "month or year"})
    customer, everything = mine_or_none(), plans.every_plan()
    mine = access.of(customer, plans=everything) if customer else None
    return render_template(
        "billing/pricing.html",
        cycle=cycle,
        plans=plans.offers(everything, cycle, mine, has_trial=trials.is_there(customer, everything)),
        has_yearly=plans.has_yearly(everything),
    )


@blueprint.post("/billing/checkout")
@limiter.limit(PER_ADDRESS)
@per_person(PER_CUSTOMER)
def checkout() -> ResponseReturnValue:
    """Buy a plan: on to Stripe, or for a stranger to sign-up first and then on."""
    word = request.form.get("price", "").strip()
    if not word:
        raise InvalidInput("Choose a plan first.", errors={"price": "required"}, money="You were not charged.")
    if not current_user.is_authenticated:
        session[CHOICE], session[CHOICE_IN_WORDS] = word, plans.in_words(items.find(word, "live"))
        return redirect(url_for("accounts.signup", next=url_for("billing.resume")), 303)
    return _go(word)


@blueprint.get("/billing/resume")
@writes
@login_required
@per_person(PER_CUSTOMER)
def resume() -> ResponseReturnValue:
    """Back from sign-up: on with the purchase that was chosen before, once."""
    if CHOICE not in session:
        return redirect(url_for("billing.pricing"))
    answer = _go(session[CHOICE])
    for kept in (CHOICE, CHOICE_IN_WORDS):  # only now: a failed start can be tried again
        session.pop(kept, None)
    return answer


def _go(word: str) -> ResponseReturnValue:
    customer = customers.of(current_user.user)
    db.session.commit()
    purchase = buying.choose(customer, word, front=current_settings().base_url)
    if purchase.session_url is None:
        return redirect(url_for("success.page", order=purchase.number), 303)
    return redirect(purchase.session_url, 303)


@blueprint.get("/billing")
@login_required
def overview() -> ResponseReturnValue:
    """Plan, status in words, next payment, card and invoices."""
    customer = mine_or_none()
    all_plans = db.session.execute(select(Plan)).scalars().all()
    everything = subscriptions.of_customer(customer.id) if customer else []
    mine = access.of(customer, plans=all_plans, subscriptions=everything)
    newest = invoices.latest(customer.id) if customer else {}
    now = clock.now(customer.clock_at if customer else None)
    described = [
        overviews.of(one, list(newest), all_plans, access.grace_of(one, customer), now)
        for one in everything
        if customer
    ]
    plans_first = sorted(described, key=lambda one: (one.row is not mine.subscription, not one.row.is_plan))
    shown = next(iter(plans_first), None)
    return render_template(
        "billing/overview.html",
        plan_name=mine.plan_name,
        shown=shown,
        others=[one for one in described if one is not shown],
        banners=[banner for one in described for banner in one.banners],
        invoices=newest,
    )


@blueprint.post("/billing/portal")
@login_required
@per_person(PER_CUSTOMER)
def portal() -> ResponseReturnValue:
    """On to Stripe's own portal, for the card and the billing details; `subscription` says whose, of several.

    With `flow=payment_method_update` it opens where the card is changed, and leads back here.
    """
    customer = customers.of(current_user.user)
    stripe_customer = _payer_of(customer, request.form.get("subscription", ""))
    then = request.form.get("then", "")  # the plan whose change waits for a card
    to_card = bool(then) or request.form.get("flow") == "payment_method_update"
    back = mail.external("plan.choose", price=then) if then else mail.external("billing.overview")
    return redirect(customers.portal_url(customer, stripe_customer, back, to_card=to_card), 303)


def _payer_of(customer: Customer, subscription_id: str) -> str | None:
    """The name at Stripe that a subscription of this customer stands under. Raises NotFound for a stranger's."""
    if not subscription_id:
        return None
    found = subscriptions.by_stripe_id(customer.mode, subscription_id)
    return access.own_or_404(found, customer).stripe_customer


def mine_or_none() -> Customer | None:
    """The signed-in user's live customer; None for strangers, and before the first purchase or key."""
    return customers.find(current_user.user) if current_user.is_authenticated else None
