"""The customer pages: search, everything about one customer in both modes, and actions."""

from datetime import UTC, date, datetime, time
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import audit, clock, money, quantities
from portal.accounts.sign_in import sessions
from portal.admin import customers, find_users
from portal.admin.forms import LONGEST, GraceForm, GrantForm, PlanForm, SearchForm, VoidForm
from portal.admin.paging import before
from portal.admin.permissions import require_reason, sensitive
from portal.billing.lifecycle import resync as lifecycle_resync
from portal.credits import grants
from portal.customers import access, given_plans, suspensions
from portal.customers import stripe_customers as at_stripe
from portal.enums import Mode
from portal.errors import Conflict, InvalidInput, NotFound
from portal.extensions import db, limiter
from portal.keys import api_keys
from portal.models import ApiKey, Customer, User
from portal.models.suspension import SuspensionReason
from portal.usage.monthly_run import corrections

blueprint = Blueprint("admin_customers", __name__)


@blueprint.get("/customers")
def index() -> ResponseReturnValue:
    """List users, newest first, or those that match."""
    form = SearchForm(request.args)
    found, onward = find_users.page(form.q.data or "", before()) if form.validate() else ([], None)
    words = form.q.data or ""
    return render_template(
        "admin/customers.html",
        form=form,
        users=found,
        onward=onward,
        before=before(),
        chosen={"q": words} if words else {},
    )


@blueprint.post("/customers")
def search() -> ResponseReturnValue:
    """Redirect to the list with the search words in the URL, without secrets: someone may paste a whole API
    key.
    """
    return redirect(url_for(".index", q=find_users.presentable(request.form.get("q", "")[:LONGEST])), 303)


@blueprint.get("/customers/<int:user_id>")
def show(user_id: int) -> ResponseReturnValue:
    """Show everything about one user, in both modes."""
    return _page(find_users.by_id(user_id))


@blueprint.post("/customers/<int:user_id>/credits")
@sensitive
def grant(user_id: int) -> ResponseReturnValue:
    """Grant credits until a day. Submitting the same form twice grants them once."""
    user, form = find_users.still_here(user_id), GrantForm()
    if not form.validate_on_submit():
        return _page(user, grant=form), 400
    until = _end_of(form.expires.data)
    customer = at_stripe.of(user, form.mode.data)
    try:
        given = grants.give(
            customer.id, form.credits.data, until, f"admin:{form.nonce.data}", form.note.data or ""
        )
    except InvalidInput as refused:
        db.session.rollback()
        form.credits.errors = [refused.detail]
        return _page(user, grant=form), 400
    db.session.commit()
    flash(f"{given.amount:,} credits were given.", "positive")
    return _back(user_id)


@blueprint.post("/customers/<int:user_id>/plan")
@sensitive
def give_plan(user_id: int) -> ResponseReturnValue:
    """Give a plan without a payment, until the end of a day or until it is ended."""
    user, form = find_users.still_here(user_id), PlanForm(customers.plans())
    if not form.validate_on_submit():
        return _page(user, plan=form), 400
    until = _end_of(form.last_day.data) if form.last_day.data else None
    try:
        given_plans.give(at_stripe.of(user, form.plan_mode.data), form.tier.data, until)
    except InvalidInput as refused:
        db.session.rollback()
        form.last_day.errors = [refused.detail]
        return _page(user, plan=form), 400
    db.session.commit()
    flash("The plan was given.", "positive")
    return _back(user_id)


@blueprint.post("/customers/<int:user_id>/plan/end")
@sensitive
def end_plan(user_id: int) -> ResponseReturnValue:
    """End the plan that was given."""
    require_reason()
    given_plans.end(_customer(find_users.by_id(user_id), request.form.get("mode", "")))
    db.session.commit()
    flash("The given plan has ended.", "positive")
    return _back(user_id)


@blueprint.post("/customers/<int:user_id>/grace")
@sensitive
def extend_grace(user_id: int) -> ResponseReturnValue:
    """Keep an unpaid plan active until at least a day."""
    user, form = find_users.still_here(user_id), GraceForm()
    if not form.validate_on_submit():
        return _page(user, grace=form), 400
    customer = _customer(user, form.grace_mode.data)
    if not form.fits(clock.now(customer.clock_at)):
        return _page(user, grace=form), 400
    until = _end_of(form.until.data)
    was, customer.grace_until = customer.grace_until, until
    access.mark_changed(customer.id)
    facts: dict[str, Any] = {"before": {"until": was and was.isoformat()}, "after": {"until": until.isoformat()}}
    audit.record("grace.extended", customer_id=customer.id, **facts)
    db.session.commit()
    flash("The plan stays until the end of that day, paid or not.", "positive")
    return _back(user_id)


@blueprint.post("/customers/<int:user_id>/usage/void")
@sensitive
def void_usage(user_id: int) -> ResponseReturnValue:
    """Void usage that was counted by mistake. Both entries stay."""
    user, form = find_users.by_id(user_id), VoidForm()
    if not form.validate_on_submit():
        return _page(user, void=form), 400
    customer = _customer(user, form.void_mode.data)
    try:
        done = corrections.take_back(customer.id, form.identifier.data, form.reason.data)
    except (NotFound, Conflict) as refused:
        db.session.rollback()
        form.identifier.errors = [refused.detail]
        return _page(user, void=form), refused.status
    taken = f"{done.meter} {quantities.text(done.quantity)}"
    back = f" {money.text(done.back.amount, done.back.currency)} comes back." if done.back else ""
    words = f"{taken} was taken off {done.month.words}.{back}"
    flash(words if done.is_new else "That was voided before.", "positive")
    return _back(user_id)


@blueprint.post("/customers/<int:user_id>/suspend")
@sensitive
def suspend(user_id: int) -> ResponseReturnValue:
    """Suspend the customer until an admin lifts it. Keys return 402."""
    require_reason()
    customer = _customer(find_users.by_id(user_id), request.form.get("mode", ""))
    if not suspensions.add(customer.id, SuspensionReason.ADMIN, f"user {user_id}"):
        raise Conflict("An admin has suspended this customer already.")
    db.session.commit()
    flash("The customer is suspended: keys answer 402.", "positive")
    return _back(user_id)


@blueprint.post("/customers/<int:user_id>/reactivate")
@sensitive
def reactivate(user_id: int) -> ResponseReturnValue:
    """Lift the suspension by an admin or a dispute. The other reasons end automatically."""
    require_reason()
    customer = _customer(find_users.by_id(user_id), request.form.get("mode", ""))
    mine = [reason for reason in SuspensionReason if reason.is_lifted_by_admin]
    if not suspensions.lift(customer.id, *mine, about=f"user {user_id}"):
        raise Conflict("There is no suspension that an admin lifts.")
    db.session.commit()
    db.session.refresh(customer)
    if customer.suspended_at:
        flash("Lifted. The customer stays suspended for another reason, which stands below.", "warning")
    else:
        flash("The customer's API keys answer again.", "positive")
    return _back(user_id)


@blueprint.post("/customers/<int:user_id>/keys/<int:key_id>/revoke")
@sensitive
def revoke(user_id: int, key_id: int) -> ResponseReturnValue:
    """Revoke a key immediately."""
    require_reason()
    key = db.session.get(ApiKey, key_id)
    if key is None or key.customer.user_id != user_id:
        raise NotFound("There is no such key.")
    api_keys.revoke(key)
    db.session.commit()
    flash(f"The key {key.prefix}… is revoked.", "positive")
    return _back(user_id)


@blueprint.post("/customers/<int:user_id>/resync")
@limiter.limit("20/minute")
def resync(user_id: int) -> ResponseReturnValue:
    """Sync everything with Stripe."""
    customer = _customer(find_users.by_id(user_id), request.form.get("mode", ""))
    audit.record("customer.resynced", customer_id=customer.id)
    db.session.commit()
    done = lifecycle_resync.resync(customer)
    flash(f"{done} objects were read from Stripe; what differed is as Stripe has it now.", "positive")
    return _back(user_id)


def _end_of(day: date) -> datetime:
    return datetime.combine(day, time.max, UTC)


def _customer(user: User, word: str) -> Customer:
    """Return the user's customer in the mode of this name. Raises NotFound if there is none."""
    mode = Mode.named(word)
    found = at_stripe.find(user, mode) if mode else None
    if found is None:
        raise NotFound("This user has nothing in that mode.")
    return found


def _back(user_id: int) -> ResponseReturnValue:
    return redirect(url_for(".show", user_id=user_id), 303)


def _page(user: User, **forms: Any) -> str:
    empty = {"grant": GrantForm, "grace": GraceForm, "void": VoidForm}
    shown = {name: form(formdata=None) for name, form in empty.items()} | forms
    shown.setdefault("plan", PlanForm(customers.plans(), formdata=None))
    return render_template(
        "admin/customer.html",
        user=user,
        sides=customers.sides(user),
        may_act=current_user.is_admin and sessions.recent_password(current_user.session),
        now=clock.now(),
        quantity=quantities.text,
        **shown,
    )
