"""The history page and its export."""

from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, render_template, request, stream_with_context
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required
from flask_wtf import FlaskForm
from wtforms import DateField, SearchField, SelectField
from wtforms.fields import SelectChoice
from wtforms.validators import Length, Optional, ValidationError

from portal import clock
from portal.credits import history, sources
from portal.credits.export import csv_lines
from portal.credits.history import Filter, Position
from portal.extensions import limiter
from portal.pages import zone
from portal.purchases import customers

blueprint = Blueprint("history", __name__)

NOT_A_DATE = "Enter a date such as 2026-12-31."
LONGEST_SEARCH = 100
KINDS = [SelectChoice("", "Everything"), *(SelectChoice(*kind) for kind in sources.KINDS.items())]


class Date(DateField):
    """A day, refused in words that say how one is written."""

    def process_formdata(self, valuelist: list[Any]) -> None:
        try:
            super().process_formdata(valuelist)
        except ValueError:
            raise ValueError(NOT_A_DATE) from None


class FilterForm(FlaskForm):
    """What of the history is asked for. It only reads, so it is sent by GET and needs no token."""

    class Meta:
        csrf = False

    kind = SelectField("Show", choices=KINDS, default="")
    since = Date("From", [Optional()])
    until = Date("To", [Optional()])
    q = SearchField("Search", [Length(max=LONGEST_SEARCH, message=f"Use at most {LONGEST_SEARCH} characters.")])

    def validate_until(self, field: DateField) -> None:
        """A period ends after it begins."""
        if field.data and self.since.data and field.data < self.since.data:
            raise ValidationError("This is before the date that it begins with.")

    def wanted(self) -> Filter:
        """The same with days as the reader's own: from their midnight to the one after the last day."""
        local = ZoneInfo(zone())
        since, until = self.since.data, self.until.data and self.until.data + timedelta(days=1)
        return Filter(
            kind=self.kind.data or "",
            since=since and datetime.combine(since, time(), local),
            until=until and datetime.combine(until, time(), local),
            words=self.q.data or "",
        )

    def chosen(self) -> dict[str, str]:
        """The filter as the query of a link."""
        return {name: value for name, value in request.args.items() if value and name in self._fields}


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
    return render_template(
        "credits/history.html", form=form, rows=rows, chosen=form.chosen(), before=before, onward=onward
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
