"""The account page, and the profile."""

import secrets
from dataclasses import dataclass, field

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required
from sqlalchemy import and_, func, select

from portal import clock
from portal.accounts.forms import BillingDetailsForm, ProfileForm
from portal.accounts.ownership import waiting_purchases
from portal.accounts.responses import page, refused
from portal.accounts.sign_in import sessions
from portal.api.rate_limits import per_person
from portal.customers import access, billing_details, stripe_customers
from portal.enums import Mode
from portal.errors import InvalidInput
from portal.extensions import db
from portal.keys import api_keys
from portal.models import ApiKey, Customer, StripeCustomer, User
from portal.models.card import SavedCard

blueprint = Blueprint("account", __name__, url_prefix="/account")

TOLD = ("name", "tax_id_type", "tax_id")  # of the billing details, beside the address


@blueprint.get("")
@login_required
def index() -> ResponseReturnValue:
    """Show plan, credits, card and keys, the user's details, and where they are signed in."""
    user: User = current_user.user
    known = _known(user)
    mine = access.of(known.customer)
    return render_template(
        "accounts/index.html",
        user=user,
        plan_name=mine.plan_name,
        card=(mine.subscription and mine.subscription.card) or known.card,
        details=known.details,
        address=", ".join(known.details.address.values()),
        key_count=known.key_count,
        sessions=sessions.living(user),
        waits=user.is_proven and waiting_purchases.is_any(user.email),
        this_session=current_user.session,
    )


@blueprint.route("/profile", methods=["GET", "POST"])
@login_required
def profile() -> ResponseReturnValue:
    """Change name and time zone."""
    user: User = current_user.user
    form = ProfileForm(obj=user)
    if not form.validate_on_submit():
        return page("accounts/profile.html", form)
    user.name, user.timezone = form.name.data, form.timezone.data
    db.session.commit()
    flash("Your changes are saved.", "positive")
    return redirect(url_for("account.index"), 303)


@blueprint.route("/billing-details", methods=["GET", "POST"])
@login_required
@per_person("10/minute")
def details() -> ResponseReturnValue:
    """Change company, address and tax id, which Stripe keeps and prints on invoices."""
    user: User = current_user.user
    form = BillingDetailsForm()
    if not form.validate_on_submit():
        if not form.is_submitted():
            known = billing_details.current(stripe_customers.find(user))
            form.process(data=known.address | {name: getattr(known, name) for name in TOLD}, nonce=_nonce())
        return page("accounts/billing_details.html", form)
    customer = stripe_customers.of(user)
    db.session.commit()
    try:
        billing_details.save(customer, _details(form), form.nonce.data or _nonce())
    except InvalidInput as error:
        return refused("accounts/billing_details.html", form, error)
    flash("Your billing details are saved and will be on your next invoice.", "positive")
    return redirect(url_for("account.index"), 303)


def _nonce() -> str:
    return secrets.token_urlsafe(16)


def _details(form: BillingDetailsForm) -> billing_details.Details:
    address = {name: form[name].data for name in billing_details.ADDRESS if form[name].data}
    return billing_details.Details(address=address, **{name: form[name].data or "" for name in TOLD})


@dataclass(frozen=True)
class Known:
    """A user's live customer with its billing details, the default card, and the number of active keys."""

    customer: Customer | None = None
    card: SavedCard | None = None
    details: billing_details.Details = field(default_factory=billing_details.Details)
    key_count: int = 0


def _known(user: User) -> Known:
    """Return them with one statement, because the page runs more queries."""
    keys = select(func.count()).where(ApiKey.customer_id == Customer.id, *api_keys.living_at(clock.now()))
    current = and_(StripeCustomer.customer_id == Customer.id, StripeCustomer.is_current)
    query = select(Customer, StripeCustomer, keys.scalar_subquery()).outerjoin(StripeCustomer, current)
    row = db.session.execute(query.where(Customer.user_id == user.id, Customer.mode == Mode.LIVE)).one_or_none()
    if row is None:
        return Known()
    customer, name, key_count = row
    stripe_customers.remember(customer)
    return Known(customer, name.card if name else None, billing_details.stored(name), key_count)
