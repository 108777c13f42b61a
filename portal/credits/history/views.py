"""The history page and its export."""

from flask import Blueprint, Response, render_template, request, stream_with_context
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required
from wtforms import SearchField, SelectField
from wtforms.fields import SelectChoice
from wtforms.validators import Length

from portal import clock
from portal.credits.history import sources, transactions
from portal.credits.history.csv_export import csv_lines
from portal.credits.history.transactions import Filter, Position
from portal.customers import stripe_customers
from portal.extensions import limiter
from portal.web.forms import PeriodForm
from portal.web.pages import zone

blueprint = Blueprint("history", __name__)

LONGEST_SEARCH = 100
KINDS = [SelectChoice("", "Everything"), *(SelectChoice(*kind) for kind in sources.KINDS.items())]


class FilterForm(PeriodForm):
    """The filters of the history."""

    kind = SelectField("Show", choices=KINDS, default="")
    q = SearchField("Search", [Length(max=LONGEST_SEARCH, message=f"Use at most {LONGEST_SEARCH} characters.")])

    def wanted(self) -> Filter:
        """Return the filters as the query takes them."""
        since, until = self.period()
        return Filter(self.kind.data or "", since, until, self.q.data or "")


@blueprint.get("/history")
@login_required
def index() -> ResponseReturnValue:
    """List entries, payments, refunds and invoices, newest first."""
    form = FilterForm(request.args)
    if not form.validate():
        return render_template("credits/history.html", form=form, rows=[], chosen={}, onward=None), 400
    before = Position.read(request.args["before"]) if request.args.get("before") else None
    customer = stripe_customers.find(current_user.user)
    rows, onward = transactions.page(customer, form.wanted(), before) if customer else ([], None)
    stopped = onward if len(rows) < transactions.PAGE else None  # a search that reached its limit
    return render_template(
        "credits/history.html",
        form=form,
        rows=rows,
        chosen=form.chosen(),
        before=before,
        onward=onward,
        stopped_at=stopped.created_at if stopped else None,
    )


@blueprint.get("/history.csv")
@login_required
@limiter.limit("10/minute")
def export() -> ResponseReturnValue:
    """Export everything that matches the filter as CSV."""
    form = FilterForm(request.args)
    if not form.validate():
        return render_template("credits/history.html", form=form, rows=[], chosen={}, onward=None), 400
    customer = stripe_customers.find(current_user.user)
    rows = transactions.everything(customer, form.wanted()) if customer else iter(())
    lines = stream_with_context(csv_lines(rows, zone()))
    name = f"history-{clock.now():%Y-%m-%d}.csv"
    return Response(
        lines,
        mimetype="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
