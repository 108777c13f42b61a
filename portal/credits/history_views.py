"""The history page and its export."""

from flask import Blueprint, Response, render_template, request, stream_with_context
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required
from wtforms import SearchField, SelectField
from wtforms.fields import SelectChoice
from wtforms.validators import Length

from portal import clock
from portal.credits import history, sources
from portal.credits.export import csv_lines
from portal.credits.history import Filter, Position
from portal.extensions import limiter
from portal.forms import PeriodForm
from portal.pages import zone
from portal.purchases import customers

blueprint = Blueprint("history", __name__)

LONGEST_SEARCH = 100
KINDS = [SelectChoice("", "Everything"), *(SelectChoice(*kind) for kind in sources.KINDS.items())]


class FilterForm(PeriodForm):
    """What of the history is asked for."""

    kind = SelectField("Show", choices=KINDS, default="")
    q = SearchField("Search", [Length(max=LONGEST_SEARCH, message=f"Use at most {LONGEST_SEARCH} characters.")])

    def wanted(self) -> Filter:
        """The same as the history takes it."""
        since, until = self.period()
        return Filter(self.kind.data or "", since, until, self.q.data or "")


@blueprint.get("/history")
@login_required
def index() -> ResponseReturnValue:
    """Entries, payments, refunds and invoices in one list, the newest first."""
    form = FilterForm(request.args)
    if not form.validate():
        return render_template("credits/history.html", form=form, rows=[], chosen={}, onward=None), 400
    before = Position.read(request.args["before"]) if request.args.get("before") else None
    customer = customers.find(current_user.user)
    rows, onward = history.page(customer, form.wanted(), before) if customer else ([], None)
    stopped = onward if len(rows) < history.PAGE else None  # a search that has read enough for one page
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
    """Everything that the filter lets through, as CSV."""
    form = FilterForm(request.args)
    if not form.validate():
        return render_template("credits/history.html", form=form, rows=[], chosen={}, onward=None), 400
    customer = customers.find(current_user.user)
    rows = history.everything(customer, form.wanted()) if customer else iter(())
    lines = stream_with_context(csv_lines(rows, zone()))
    name = f"history-{clock.now():%Y-%m-%d}.csv"
    return Response(
        lines,
        mimetype="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
