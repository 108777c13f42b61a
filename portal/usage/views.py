"""The usage page: this month, its forecast, the spend limit, recent bills, and pay as you go."""

from datetime import date
from decimal import Decimal
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, stream_with_context, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required

from portal import clock, mail, quantities
from portal.api.rate_limits import per_person
from portal.customers import access, stripe_customers, suspensions
from portal.enums import Mode
from portal.errors import InvalidInput
from portal.extensions import db, writes
from portal.models import Order
from portal.orders import find
from portal.orders.sessions import ID_PLACEHOLDER
from portal.usage import agreements, export, forms, month_usage, preferences
from portal.usage.forms import CreditsForm, LimitForm, RangeForm
from portal.usage.month_usage import MeterUsage
from portal.usage.monthly_run import bill_states
from portal.usage.monthly_run.months import Month
from portal.usage.preferences import Mine

blueprint = Blueprint("usage", __name__)

PER_CUSTOMER = "20/minute"


@blueprint.get("/usage")
@login_required
def index() -> ResponseReturnValue:
    """Show this month per meter, its forecast, and earlier bills."""
    return _page(preferences.of(current_user.user))


@blueprint.post("/usage/start")
@login_required
@per_person(PER_CUSTOMER)
def start() -> ResponseReturnValue:
    """Redirect to Stripe to save a card for pay as you go."""
    customer = stripe_customers.of(current_user.user)
    order = agreements.start(
        customer, success_url=mail.external("usage.started"), cancel_url=mail.external("usage.index")
    )
    return redirect(order.session_url or url_for("usage.index"), 303)


@blueprint.get("/usage/started")
@writes
@login_required
def started() -> ResponseReturnValue:
    """Fulfill the order as a webhook does when the buyer returns from Stripe, and redirect to the page."""
    order = _own(request.args.get("session_id", ""))
    find.bring_up_to_date(order)
    if order.paid_at:
        flash("Pay as you go is on. Nothing was charged today.", "positive")
    else:
        flash("The card is not saved yet. If you finished the form, this takes a moment.", "warning")
    return redirect(url_for("usage.index"))


@blueprint.post("/usage/limit")
@login_required
@per_person(PER_CUSTOMER)
def limit() -> ResponseReturnValue:
    """Set or remove the spend limit."""
    customer = stripe_customers.of(current_user.user)
    form = LimitForm()
    if not form.validate_on_submit():
        return _page(preferences.of(current_user.user), limit=form), 400
    preferences.set_limit(customer.id, form.minor, hard_stop=form.hard_stop.data)
    db.session.commit()
    flash("The spend limit is saved." if form.minor is not None else "There is no spend limit now.", "positive")
    return redirect(url_for("usage.index"), 303)


@blueprint.post("/usage/credits")
@login_required
@per_person(PER_CUSTOMER)
def credits() -> ResponseReturnValue:
    """Choose whether credits pay usage first."""
    customer = stripe_customers.of(current_user.user)
    form = CreditsForm()
    if not form.validate_on_submit():
        return _page(preferences.of(current_user.user)), 400
    preferences.let_credits_pay(customer.id, first=form.credits_first.data)
    db.session.commit()
    words = "Your credits pay usage first." if form.credits_first.data else "Usage is charged to your card alone."
    flash(words, "positive")
    return redirect(url_for("usage.index"), 303)


@blueprint.get("/usage.csv")
@login_required
@per_person("10/minute")
def csv() -> ResponseReturnValue:
    """Export every day and meter of a period as CSV."""
    form = RangeForm(request.args)
    mine = preferences.of(current_user.user)
    if not form.validate():
        return _page(mine, period=form), 400
    rows = export.rows(mine.customer.id, form.since.data, form.until.data) if mine.customer else iter(())
    name = f"usage-{form.since.data}-{form.until.data}.csv"
    return Response(
        stream_with_context(export.csv_lines(rows)),
        mimetype="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _own(session_id: str) -> Order:
    """Return the reader's own order of the session in the URL. Raises NotFound for anyone else's."""
    if session_id in ("", ID_PLACEHOLDER):
        words = "This page is opened by Stripe, with the order's id in its address."
        raise InvalidInput(words, errors={"session_id": "missing"}, action=("/usage", "See your usage"))
    customer = stripe_customers.find(current_user.user)
    order = find.by_session(session_id)
    if order is not None and order.kind != "usage":
        order = None
    return access.own_or_404(order, customer)


def _page(mine: Mine, *, limit: LimitForm | None = None, period: RangeForm | None = None) -> str:
    """Render the page with its forms, submitted or empty."""
    now = clock.now()
    month = Month.of(now)
    customer_id = mine.customer.id if mine.customer else None
    used = month_usage.of(customer_id, month)
    suspended = suspensions.reasons(mine.customer)
    return render_template(
        "usage/index.html",
        mine=mine,
        suspended=suspended,
        is_on_sale=agreements.is_on_sale(Mode.LIVE),
        to_pay=bill_states.to_pay(mine.customer.id) if mine.customer and suspended else [],
        used=used,
        included=[one.allowance(month) for one in used.meters if one.included],
        forecast=used.forecast(now),
        charts=[_chart(one, used.month, now.day) for one in used.meters if one.quantity],
        limit_form=limit or forms.limit(mine.chosen, used.currency),
        credits_form=CreditsForm(data={"credits_first": bool(mine.chosen and mine.chosen.credits_first)}),
        period=period or RangeForm(None, data={"since": month.previous.start.date(), "until": now.date()}),
        bills=bill_states.newest(customer_id) if customer_id else [],
        quantity=quantities.text,
        month_words=lambda number: Month.of_number(number).words,
    )


def _chart(used: MeterUsage, month: Month, today: int) -> dict[str, Any]:
    """Return a bar for each day so far. Late usage of another month is only in the table."""
    days = [date(month.year, month.month, number) for number in range(1, today + 1)]
    values = [used.days.get(day, Decimal(0)) for day in days]
    rows = [
        {"label": str(day.day), "value": float(value), "text": quantities.text(value)}
        for day, value in zip(days, values, strict=True)
    ]
    return {"meter": used.meter, "rows": rows, "total": quantities.text(used.quantity)}
