"""The audit log's page, and its CSV."""

from flask import Blueprint, Response, render_template, request, stream_with_context
from flask.typing import ResponseReturnValue
from wtforms import SearchField, SelectField, StringField
from wtforms.fields import SelectChoice
from wtforms.validators import Length

from portal import audit, clock
from portal.admin.audit import search
from portal.admin.audit.search import Filter
from portal.admin.paging import before
from portal.extensions import db, limiter
from portal.models.audit import ACTORS
from portal.web.forms import PeriodForm

blueprint = Blueprint("admin_audit", __name__)

WORDS = {
    "user": "People",
    "key": "API keys",
    "operator": "Operator keys",
    "stripe": "Stripe",
    "command": "The command line",
    "clock": "Time",
}
CHOICES = [SelectChoice("", "Everybody"), *(SelectChoice(actor, WORDS[actor]) for actor in ACTORS)]


class FilterForm(PeriodForm):
    """The filters of the log."""

    action = StringField("Action", [Length(max=60)])
    actor = SelectField("Who", choices=CHOICES, default="")
    by = SearchField("By", [Length(max=254)])
    about = SearchField("On whom", [Length(max=254)])

    def wanted(self) -> Filter:
        """Return the filters as the query takes them."""
        since, until = self.period()
        return Filter(
            action=(self.action.data or "").strip(),
            actor=self.actor.data or "",
            by=(self.by.data or "").strip(),
            about=(self.about.data or "").strip(),
            since=since,
            until=until,
        )


@blueprint.get("/audit")
def index() -> ResponseReturnValue:
    """List the newest entries first, filtered."""
    form = FilterForm(request.args)
    right = form.validate()
    entries, onward = search.page(form.wanted(), before()) if right else ([], None)
    html = render_template(
        "admin/audit.html",
        form=form,
        entries=entries,
        names=search.names(entries),
        chosen=form.chosen() if right else {},
        before=before(),
        onward=onward,
    )
    return html, 200 if right else 400


@blueprint.get("/audit.csv")
@limiter.limit("10/minute")
def export() -> ResponseReturnValue:
    """Export everything that matches the filter."""
    form = FilterForm(request.args)
    if not form.validate():
        return index()
    audit.record("audit.exported", after={"filtered_by": sorted(form.chosen())})
    db.session.commit()
    name = f"audit-{clock.now():%Y-%m-%d}.csv"
    return Response(
        stream_with_context(search.csv_lines(form.wanted())),
        mimetype="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
