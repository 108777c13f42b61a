"""The account at a glance, and who it says one is."""

from dataclasses import dataclass

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required
from sqlalchemy import and_, func, select

from portal import access, clock
from portal.accounts import sessions, waiting
from portal.accounts.answers import page
from portal.accounts.forms import ProfileForm
from portal.extensions import db
from portal.keys import minting
from portal.models import ApiKey, Customer, StripeCustomer, User
from portal.models.card import SavedCard
from portal.purchases import customers

blueprint = Blueprint("account", __name__, url_prefix="/account")


@blueprint.get("")
@login_required
def index() -> ResponseReturnValue:
    """Plan, credits, card and keys, the facts about oneself, and where one is signed in."""
    user: User = current_user.user
    known = _known(user)
    mine = access.of(known.customer)
    return render_template(
        "accounts/index.html",
        user=user,
        plan_name=mine.plan_name,
        card=(mine.subscription and mine.subscription.card) or known.card,
        key_count=known.key_count,
        sessions=sessions.living(user),
        waits=user.is_proven and waiting.is_any(user.email),
        this_session=current_user.session,
    )


@blueprint.route("/profile", methods=["GET", "POST"])
@login_required
def profile() -> ResponseReturnValue:
    """Name and time zone."""
    user: User = current_user.user
    form = ProfileForm(obj=user)
    if not form.validate_on_submit():
        return page("accounts/profile.html", form)
    user.name, user.timezone = form.name.data, form.timezone.data
    db.session.commit()
    flash("Your changes are saved.", "positive")
    return redirect(url_for("account.index"), 303)


@dataclass(frozen=True)
class Known:
    """A user's live customer, the card that Stripe charges by itself, and how many keys work."""

    customer: Customer | None = None
    card: SavedCard | None = None
    key_count: int = 0


def _known(user: User) -> Known:
    """In one statement: the page has others to ask."""
    keys = select(func.count()).where(ApiKey.customer_id == Customer.id, *minting.living_at(clock.now()))
    current = and_(StripeCustomer.customer_id == Customer.id, StripeCustomer.is_current)
    query = select(Customer, StripeCustomer, keys.scalar_subquery()).outerjoin(StripeCustomer, current)
    row = db.session.execute(query.where(Customer.user_id == user.id, Customer.mode == "live")).one_or_none()
    if row is None:
        return Known()
    customer, name, key_count = row
    return Known(customers.remember(customer), name.card if name else None, key_count)
