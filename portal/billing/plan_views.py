"""Moving to another plan, cancelling, and staying after all."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import login_required

from portal import money
from portal.billing import cancelling, changing, quotes, words
from portal.billing.forms import CancelForm, ChangeForm
from portal.billing.quotes import Quote
from portal.billing.views import PER_CUSTOMER, mine_or_none
from portal.errors import InvalidInput
from portal.extensions import writes
from portal.purchases import items
from portal.rates import per_person

blueprint = Blueprint("plan", __name__, url_prefix="/billing")


@blueprint.get("/change")
@writes
@login_required
@per_person(PER_CUSTOMER)
def choose() -> ResponseReturnValue:
    """The other plans with what each costs today; with `price` one of them with all that it means."""
    word = request.args.get("price", "").strip()
    if word:
        return _quoted(changing.preview(mine_or_none(), word), word)
    subscription, outlines = changing.offers(mine_or_none())
    name = words.plan_name(subscription.tier, items.plan_of(subscription.tier))
    return render_template(
        "billing/change.html",
        subscription=subscription,
        plan_name=name,
        outlines=outlines,
        is_known=all(one.due_today is not None for one in outlines),
    )


@blueprint.post("/change")
@login_required
@per_person(PER_CUSTOMER)
def change() -> ResponseReturnValue:
    """Do what was shown; where it costs something else by now, show that instead."""
    form = ChangeForm()
    if not form.validate_on_submit():
        raise InvalidInput("Choose a plan first.", errors={name: one[0] for name, one in form.errors.items()})
    word = form.price.data
    try:
        outcome = changing.confirm(mine_or_none(), word, form.quote.data, form.moment)
    except quotes.Outdated as reason:
        return _quoted(changing.preview(mine_or_none(), word), word, str(reason)), reason.status
    except changing.NeedsCard:
        return redirect(url_for("plan.choose", price=word), 303)
    if outcome.confirm_url:
        return redirect(outcome.confirm_url, 303)
    flash(_in_words(outcome), "positive")
    return redirect(url_for("billing.overview"), 303)


@blueprint.post("/keep-plan")
@login_required
@per_person(PER_CUSTOMER)
def keep() -> ResponseReturnValue:
    """Drop the change that waits for the next renewal."""
    changing.keep(mine_or_none(), stripe_id=_named())
    flash("Your plan stays as it is.", "positive")
    return redirect(url_for("billing.overview"), 303)


@blueprint.get("/cancel")
@login_required
def ask_to_cancel() -> ResponseReturnValue:
    """Until when everything stays, and why they leave; asked once, with no other offer in the way."""
    return _asking(CancelForm())


@blueprint.post("/cancel")
@login_required
@per_person(PER_CUSTOMER)
def cancel() -> ResponseReturnValue:
    """End the plan at the end of what is paid."""
    form = CancelForm()
    if not form.validate_on_submit():
        return _asking(form), 400
    reason, comment = form.reason.data or "", (form.comment.data or "").strip()
    cancelling.cancel(mine_or_none(), reason, comment, stripe_id=_named())
    flash("Your plan is cancelled.", "positive")  # until when it is kept, the page says that follows
    return redirect(url_for("billing.overview"), 303)


@blueprint.post("/resume-plan")
@login_required
@per_person(PER_CUSTOMER)
def resume() -> ResponseReturnValue:
    """Keep a plan whose end is scheduled."""
    cancelling.resume(mine_or_none(), stripe_id=_named())
    flash("Your plan goes on as before.", "positive")
    return redirect(url_for("billing.overview"), 303)


def _named() -> str:
    """Which of several subscriptions this is about; empty: the plan."""
    return request.values.get("subscription", "")


def _asking(form: CancelForm) -> str:
    subscription = cancelling.cancellable(mine_or_none(), _named())
    return render_template(
        "billing/cancel.html",
        form=form,
        subscription=_named(),
        plan_name=words.plan_name(subscription.tier, items.plan_of(subscription.tier)),
        until=subscription.trial_end if subscription.status == "trialing" else subscription.current_period_end,
        is_trial=subscription.status == "trialing",
        is_owing=subscription.status in ("past_due", "unpaid"),
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


def _in_words(outcome: changing.Outcome) -> str:
    item = outcome.quote.move.item
    if not outcome.quote.move.is_now:
        return "The change is planned."  # to what and when, the page says
    if outcome.is_on_its_way:
        return f"The payment for {item.name} is on its way from your bank, which takes some days. We write to you."
    return f"Your plan is now {item.name}, paid {money.cycle(item.interval, item.interval_count)}."
