"""The pages to change, cancel and resume a plan."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import login_required

from portal import money
from portal.api.rate_limits import per_person
from portal.billing import cancellation
from portal.billing.forms import CancelForm, ChangeForm
from portal.billing.plan_change import change_requests, options, plan_changes, quotes
from portal.billing.plan_change.quotes import Quote
from portal.billing.status import labels
from portal.billing.upcoming import prices
from portal.billing.views import PER_CUSTOMER, mine_or_none
from portal.catalogue import items
from portal.errors import InvalidInput
from portal.extensions import writes
from portal.models import SubscriptionStatus

blueprint = Blueprint("plan", __name__, url_prefix="/billing")


@blueprint.get("/change")
@writes
@login_required
@per_person(PER_CUSTOMER)
def choose() -> ResponseReturnValue:
    """Show the other plans with today's cost; with `price`, one of them in full."""
    word = request.args.get("price", "").strip()
    if word:
        return _quoted(plan_changes.preview(mine_or_none(), word), word)
    subscription, outlines = plan_changes.offers(mine_or_none())
    name = labels.plan_name(subscription.tier, items.plan_of(subscription.tier))
    return render_template(
        "billing/change.html",
        subscription=subscription,
        plan_name=name,
        price=" and ".join(prices.all_of(subscription)),
        quantity=subscription.quantity,
        outlines=outlines,
        is_known=all(one.due_today is not None for one in outlines),
    )


@blueprint.post("/change")
@login_required
@per_person(PER_CUSTOMER)
def change() -> ResponseReturnValue:
    """Make the change that was shown. If its cost has changed, show the new one instead.

    A form that is sent again after it succeeded leads to the billing page, as it did.
    """
    form = ChangeForm()
    if not form.validate_on_submit():
        raise InvalidInput("Choose a plan first.", errors={name: one[0] for name, one in form.errors.items()})
    try:
        return _changed(form)
    except options.AlreadyOnIt as so:
        flash(so.detail, "info")
        return redirect(url_for("billing.overview"), 303)


def _changed(form: ChangeForm) -> ResponseReturnValue:
    word = form.price.data
    try:
        outcome = plan_changes.confirm(mine_or_none(), word, form.quote.data, form.moment)
    except quotes.Outdated as reason:
        return _quoted(plan_changes.preview(mine_or_none(), word), word, str(reason)), reason.status
    except plan_changes.NeedsCard:
        return redirect(url_for("plan.choose", price=word), 303)
    except change_requests.UnderWay:  # sent twice at once: both requests show what the first one did
        if not plan_changes.is_made(mine_or_none(), word):
            raise
        flash("Your plan was changed.", "positive")
        return redirect(url_for("billing.overview"), 303)
    if outcome.confirm_url:
        return redirect(outcome.confirm_url, 303)
    flash(_in_words(outcome), "positive")
    return redirect(url_for("billing.overview"), 303)


@blueprint.post("/keep-plan")
@login_required
@per_person(PER_CUSTOMER)
def keep() -> ResponseReturnValue:
    """Cancel the change scheduled for the next renewal."""
    plan_changes.keep(mine_or_none(), stripe_id=_named())
    flash("Your plan stays as it is.", "positive")
    return redirect(url_for("billing.overview"), 303)


@blueprint.get("/cancel")
@writes
@login_required
@per_person(PER_CUSTOMER)
def ask_to_cancel() -> ResponseReturnValue:
    """Show until when everything stays, and ask for the reason once, without a counter-offer."""
    return _asking(CancelForm())


@blueprint.post("/cancel")
@login_required
@per_person(PER_CUSTOMER)
def cancel() -> ResponseReturnValue:
    """Cancel the plan at the end of the paid period."""
    form = CancelForm()
    if not form.validate_on_submit():
        return _asking(form), 400
    reason, comment = form.reason.data or "", (form.comment.data or "").strip()
    cancellation.cancel(mine_or_none(), reason, comment, stripe_id=_named())
    flash("Your plan is cancelled.", "positive")  # the page that follows says until when it is kept
    return redirect(url_for("billing.overview"), 303)


@blueprint.post("/resume-plan")
@login_required
@per_person(PER_CUSTOMER)
def resume() -> ResponseReturnValue:
    """Keep a plan that is scheduled to end."""
    cancellation.resume(mine_or_none(), stripe_id=_named())
    flash("Your plan goes on as before.", "positive")
    return redirect(url_for("billing.overview"), 303)


def _named() -> str:
    """Return which of several subscriptions is meant; empty: the plan."""
    return request.values.get("subscription", "")


def _asking(form: CancelForm) -> str:
    after = cancellation.after(mine_or_none(), _named())
    subscription = after.subscription
    return render_template(
        "billing/cancel.html",
        form=form,
        subscription=_named(),
        plan_name=after.name,
        is_plan=subscription.is_plan,
        tier_after=after.plan_name,
        going_on=after.going_on,
        until=subscription.trial_end
        if subscription.status == SubscriptionStatus.TRIALING
        else subscription.current_period_end,
        is_trial=subscription.status == SubscriptionStatus.TRIALING,
        is_owing=subscription.status.is_owing,
        next_at=subscription.next_at,
    )


def _quoted(quote: Quote, word: str, why: str = "") -> str:
    return render_template(
        "billing/quote.html",
        quote=quote,
        item=quote.move.item,
        form=ChangeForm(formdata=None, price=word, quote=quote.digest, at=int(quote.moment.timestamp())),
        why=why,
    )


def _in_words(outcome: plan_changes.Outcome) -> str:
    item = outcome.quote.move.item
    if not outcome.quote.move.is_now:
        return "The change is planned."  # the page says to what and when
    if outcome.is_sent:
        return f"Your invoice for {item.name} is open. You can pay it on this page."
    if outcome.is_on_its_way:
        return f"The payment for {item.name} is on its way from your bank, which takes some days. We write to you."
    return f"Your plan is now {item.name}, paid {money.cycle(item.interval, item.interval_count)}."
