"""The event inspector: the inbox of both lanes, one event with its effects, replay and backfill."""

from datetime import timedelta
from itertools import islice
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import SearchField, SelectField, StringField
from wtforms.fields import SelectChoice
from wtforms.validators import Length

from portal import audit, clock
from portal.admin.paging import before
from portal.admin.permissions import admins_only
from portal.enums import Mode
from portal.errors import InvalidInput, NotFound
from portal.extensions import db, limiter
from portal.models import EventState, StripeEvent
from portal.web.forms import PeriodForm
from portal.web.pages import private
from portal.webhooks import dry_runs, hints, masking, replays, search, statistics
from portal.webhooks.handlers import HANDLERS
from portal.webhooks.inbox import HandlingFailed
from portal.webhooks.search import Filter

blueprint = Blueprint("admin_events", __name__)

LONGEST = 255
DAYS = (1, 3, 7, 30)  # how far back missed events are searched; Stripe keeps them for 30
MOST_AT_ONCE = 50  # events fetched from Stripe per click: more would exceed the request's time limit
MODES = [SelectChoice("", "Both"), *(SelectChoice(mode, mode.label) for mode in Mode)]
STATES = [SelectChoice("", "Every state"), *(SelectChoice(state, state.label) for state in EventState)]


class FilterForm(PeriodForm):
    """The filters of the inbox."""

    about = SearchField("Customer or id", [Length(max=LONGEST)])
    type = StringField("Type", [Length(max=100)])
    state = SelectField("State", choices=STATES, default="")
    mode = SelectField("Mode", choices=MODES, default="")

    def wanted(self) -> Filter:
        """Return the filters as the query takes them."""
        since, until = self.period()
        return Filter(
            type=(self.type.data or "").strip(),
            state=self.state.data or "",
            mode=self.mode.data or "",
            about=(self.about.data or "").strip(),
            since=since,
            until=until,
        )


@blueprint.get("/events")
def index() -> ResponseReturnValue:
    """List the newest events first, filtered."""
    form = FilterForm(request.args)
    right = form.validate()
    events, onward = search.page(form.wanted(), before()) if right else ([], None)
    html = render_template(
        "admin/events.html",
        form=form,
        types=sorted(HANDLERS),
        events=events,
        chosen=form.chosen() if right else {},
        before=before(),
        onward=onward,
        vitals=statistics.read(),
        days=DAYS,
    )
    return html, 200 if right else 400


@blueprint.get("/events/<int:event_id>")
def show(event_id: int) -> ResponseReturnValue:
    """Show one event: its state, its effects, and its masked payload."""
    return _page(_event(event_id))


@blueprint.post("/events/<int:event_id>/payload")
@admins_only
def payload(event_id: int) -> ResponseReturnValue:
    """Show the payload as it was delivered, and record who asked for it."""
    event = _event(event_id)
    if not event.payload:
        raise hints.PayloadRemoved(hints.REMOVED)
    _note("event.payload_shown", event)
    return private(Response(_page(event, payload=masking.indented(hints.whole(event.payload)), is_whole=True)))


@blueprint.post("/events/<int:event_id>/replay")
def replay(event_id: int) -> ResponseReturnValue:
    """Handle the event again."""
    event = _event(event_id)
    if not event.payload:
        raise hints.PayloadRemoved(hints.REMOVED)
    _note("event.replayed", event, before={"state": event.state})
    try:
        outcome = replays.replay(event)
        flash(f"Replayed: the event is {outcome}.", "positive")
    except HandlingFailed:
        flash("Replayed, and it failed again. The error stands below.", "negative")
    return redirect(url_for(".show", event_id=event_id), 303)


@blueprint.post("/events/<int:event_id>/dry-run")
def dry_run(event_id: int) -> ResponseReturnValue:
    """Show what a replay would change, without changing it."""
    event = _event(event_id)
    return _page(event, rehearsed=dry_runs.rehearse(event))


@blueprint.post("/events/backfill")
@limiter.limit("6/minute")
def backfill() -> ResponseReturnValue:
    """Fetch and handle events that were never delivered."""
    mode, days = Mode.named(request.form.get("mode", "")), request.form.get("days", "")
    if mode is None or days not in {str(one) for one in DAYS}:
        raise InvalidInput("Choose a mode and how far back to look.", errors={"days": "not one of the choices"})
    audit.record("events.backfilled", after={"mode": mode, "days": int(days)})
    db.session.commit()
    missed = replays.backfill(mode, clock.now() - timedelta(days=int(days)))
    done = [status for _, status in islice(missed, MOST_AT_ONCE)]
    failed = sum(status.startswith("failed") for status in done)
    words = f"{len(done)} missed events were fetched from Stripe." if done else "Nothing was missed."
    words += f" {failed} of them failed." if failed else ""
    words += " There may be more: fetch again." if len(done) == MOST_AT_ONCE else ""
    flash(words, "warning" if failed else "positive")
    return redirect(url_for(".index", mode=mode), 303)


def _event(event_id: int) -> StripeEvent:
    """Return the event of this row. Raises NotFound."""
    event = db.session.get(StripeEvent, event_id)
    if event is None:
        raise NotFound("There is no such event.")
    return event


def _note(action: str, event: StripeEvent, **facts: Any) -> None:
    """Record an action on an event, and the event's customer. Commits."""
    customer = search.customer_of(event)
    audit.record(action, customer_id=customer.id if customer else None, subject=event.event_id, **facts)
    db.session.commit()


def _page(event: StripeEvent, **more: Any) -> str:
    shown = {"payload": masking.masked(event.payload), "is_whole": False, "rehearsed": None} | more
    return render_template(
        "admin/event.html",
        event=event,
        mode=event.mode,
        customer=search.customer_of(event),
        effects=search.effects(event),
        handled=event.type in HANDLERS,
        **shown,
    )
