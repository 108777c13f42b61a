"""The settings of the automatic top-up and of the low-balance mail."""

from flask import Blueprint, flash, redirect, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required

from portal.api.rate_limits import per_person
from portal.credits import forms, low_balance
from portal.credits.top_ups import rules, top_ups
from portal.credits.views import PER_CUSTOMER, page
from portal.customers import access, stripe_customers
from portal.extensions import db

blueprint = Blueprint("topups", __name__, url_prefix="/credits")

NO_CARD = "There is no saved card to charge. Save one first, by the button below."


@blueprint.post("/top-up")
@login_required
@per_person(PER_CUSTOMER)
def turn_on() -> ResponseReturnValue:
    """Agree to top-ups with these terms, or change the terms."""
    customer = stripe_customers.of(current_user.user)
    given = forms.for_user(current_user.user)
    if not given.top_up.validate_on_submit():
        return page(given), 400
    db.session.commit()
    if not top_ups.has_card(customer):
        given.top_up.consent.errors = [NO_CARD]
        return page(given), 400
    terms = rules.Terms(
        given.top_up.threshold.data, given.top_up.package.data, given.top_up.cap, given.top_up.minor
    )
    rules.turn_on(customer.id, terms)
    db.session.commit()
    flash("The automatic top-up is on.", "positive")
    return redirect(url_for("credits.index"), 303)


@blueprint.post("/top-up/off")
@login_required
def turn_off() -> ResponseReturnValue:
    """Turn automatic top-ups off."""
    customer = stripe_customers.find(current_user.user)
    rule = rules.rule_of(customer.id) if customer else None
    rules.turn_off(access.own_or_404(rule, customer).customer_id)
    db.session.commit()
    flash("The automatic top-up is off. Nothing is bought automatically any more.", "positive")
    return redirect(url_for("credits.index"), 303)


@blueprint.post("/low-balance")
@login_required
@per_person(PER_CUSTOMER)
def warn() -> ResponseReturnValue:
    """Save when to mail that credits run low."""
    customer = stripe_customers.of(current_user.user)
    given = forms.for_user(current_user.user)
    if not given.low_balance.validate_on_submit():
        return page(given), 400
    credits = given.low_balance.low_balance_at.data
    low_balance.warn_at(customer.id, credits)
    db.session.commit()
    flash(f"We mail you below {credits:,} credits." if credits else "We do not mail you any more.", "positive")
    return redirect(url_for("credits.index"), 303)
