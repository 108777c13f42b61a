"""The event inspector: the inbox of both lanes, one event with what it changed, replay and backfill."""

from datetime import timedelta
from itertools import islice
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import SearchField, SelectField, StringField
from wtforms.fields import SelectChoice
from wtforms.validators import Length

from portal import audit, clock, gateway
from portal.admin.guard import admins_only
from portal.admin.paging import before
from portal.errors import InvalidInput, NotFound
from portal.extensions import db, limiter
from portal.forms import PeriodForm
from portal.models import StripeEvent
from portal.pages import private
from portal.webhooks import hints, masking, reading, rehearsing, replaying, vitals
from portal.webhooks.handlers import HANDLERS
from portal.webhooks.inbox import HandlingFailed
from portal.webhooks.reading import Filter

blueprint = Blueprint("admin_events", __name__)

LONGEST = 255
DAYS = (1, 3, 7, 30)  # how far back missed events are looked for; Stripe keeps them for 30
MOST_AT_ONCE = 50  # of what is fetched from Stripe by one press: more would outlast the request
MODES = [SelectChoice("", "Both"), SelectChoice("live", "Live"), SelectChoice("test", "Test")]
STATES = [SelectChoice("", "Every state"), *(SelectChoice(state, state.capitalize()) for state in reading.STATES)]


class FilterForm(PeriodForm):
    """What of the inbox is asked for."""

    about = SearchField("Customer or id", [Length(max=LONGEST)])
    type = StringField("Type", [Length(max=100)])
    state = SelectField("State", choices=STATES, default="")
    mode = SelectField("Mode", choices=MODES, default="")

    def wanted(self) -> Filter:
        """The same as the inbox takes it."""
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
    """The newest events first, narrowed as asked."""
    form = FilterForm(request.args)
    right = form.validate()
    events, onward = reading.page(form.wanted(), before()) if right else ([], None)
    html = render_template(
        "admin/events.html",
        form=form,
        types=sorted(HANDLERS),
        events=events,
        chosen=form.chosen() if right else {},
        before=before(),
        onward=onward,
        vitals=vitals.read(),
        days=DAYS,
    )
    return html, 200 if right else 400


@blueprint.get("/events/<int:event_id>")
def show(event_id: int) -> ResponseReturnValue:
    """One event: what became of it, what it changed, and its payload, masked."""
    return _page(_event(event_id))


@blueprint.post("/events/<int:event_id>/payload")
@admins_only
def payload(event_id: int) -> ResponseReturnValue:
    """The payload as it was delivered; who asked for it is written down."""
    event = _event(event_id)
    _note("event.payload_shown", event)
    return private(Response(_page(event, payload=masking.indented(hints.whole(event.payload)), is_whole=True)))


@blueprint.post("/events/<int:event_id>/replay")
def replay(event_id: int) -> ResponseReturnValue:
    """Handle it once more."""
    event = _event(event_id)
    _note("event.replayed", event, before={"state": event.state})
    try:
        outcome = replaying.replay(event)
        flash(f"Replayed: the event is {outcome}.", "positive")
    except HandlingFailed:
        flash("Replayed, and it failed again. The error stands below.", "negative")
    return redirect(url_for(".show", event_id=event_id), 303)


@blueprint.post("/events/<int:event_id>/dry-run")
def dry_run(event_id: int) -> ResponseReturnValue:
    """What a replay would change; nothing is."""
    event = _event(event_id)
    return _page(event, rehearsed=rehearsing.rehearse(event))


@blueprint.post("/events/backfill")
@limiter.limit("6/minute")
def backfill() -> ResponseReturnValue:
    """Fetch and handle what was never delivered."""
    mode, days = request.form.get("mode", ""), request.form.get("days", "")
    if mode not in gateway.MODES or days not in {str(one) for one in DAYS}:
        raise InvalidInput("Choose a mode and how far back to look.", errors={"days": "not one of the choices"})
    audit.record("events.backfilled", after={"mode": mode, "days": int(days)})
    db.session.commit()
    missed = replaying.backfill(mode, clock.now() - timedelta(days=int(days)))
    done = [status for _, status in islice(missed, MOST_AT_ONCE)]
    failed = sum(status.startswith("failed") for status in done)
    words = f"{len(done)} missed events were fetched from Stripe." if done else "Nothing was missed."
    words += f" {failed} of them failed." if failed else ""
    words += " There may be more: fetch again." if len(done) == MOST_AT_ONCE else ""
    flash(words, "warning" if failed else "positive")
    return redirect(url_for(".index", mode=mode), 303)


def _event(event_id: int) -> StripeEvent:
    """The event of this row. Raises NotFound."""
    event = db.session.get(StripeEvent, event_id)
    if event is None:
        raise NotFound("There is no such event.")
    return event


def _note(action: str, event: StripeEvent, **facts: Any) -> None:
    """Write down what is done about an event, and whose it is. Commits."""
    customer = reading.customer_of(event)
    audit.record(action, customer_id=customer.id if customer else None, subject=event.event_id, **facts)
    db.session.commit()


def _page(event: StripeEvent, **more: Any) -> str:
    shown = {"payload": masking.masked(event.payload), "is_whole": False, "rehearsed": None} | more
    return render_template(
        "admin/event.html",
        event=event,
        mode=event.mode,
        customer=reading.customer_of(event),
        effects=reading.effects(event),
        handled=event.type in HANDLERS,
        **shown,
    )
