"""The settings of the automatic top-up and of the low-balance mail."""

from flask import Blueprint, flash, redirect, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required

from portal import access
from portal.credits import forms, low_balance, topups
from portal.credits import topup_rules as rules
from portal.credits.views import PER_CUSTOMER, page
from portal.extensions import db
from portal.purchases import customers
from portal.rates import per_person

blueprint = Blueprint("topups", __name__, url_prefix="/credits")

NO_CARD = "There is no saved card to charge. Save one first, by the button below."


@blueprint.post("/top-up")
@login_required
@per_person(PER_CUSTOMER)
def turn_on() -> ResponseReturnValue:
    """Agree to top-ups by these terms, or change them."""
    customer = customers.of(current_user.user)
    given = forms.of(current_user.user)
    if not given.top_up.validate_on_submit():
        return page(given), 400
    db.session.commit()
    if not topups.has_card(customer):
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
    """No more top-ups."""
    customer = customers.find(current_user.user)
    rule = rules.rule_of(customer.id) if customer else None
    rules.turn_off(access.own_or_404(rule, customer).customer_id)
    db.session.commit()
    flash("The automatic top-up is off. Your card is not charged any more.", "positive")
    return redirect(url_for("credits.index"), 303)


@blueprint.post("/low-balance")
@login_required
@per_person(PER_CUSTOMER)
def warn() -> ResponseReturnValue:
    """When to mail that credits run low."""
    customer = customers.of(current_user.user)
    given = forms.of(current_user.user)
    if not given.low_balance.validate_on_submit():
        return page(given), 400
    credits = given.low_balance.low_balance_at.data
    low_balance.warn_at(customer.id, credits)
    db.session.commit()
    flash(f"We mail you below {credits:,} credits." if credits else "We do not mail you any more.", "positive")
    return redirect(url_for("credits.index"), 303)
