"""Jobs: `flask jobs` and the admin page list what waits or failed, and retry it."""

from datetime import timedelta

import pytest
from flask import Flask

from portal import clock, mail
from portal.extensions import db
from portal.models import EventState, MonthlyBill, OutboxMail, StripeEvent
from portal.usage.monthly_run.months import Month
from tests.conftest import Person
from tests.support import credits, events
from tests.support.addresses import token
from tests.support.books import a_customer
from tests.support.world import World


def failed_event(here: World, app: Flask, alice: Person) -> int:
    """Return the row of a paid order's event that failed at first."""
    mark = events.newest(here)
    credits.begin(alice, "Starter")
    alice.browser.pay(follow=False)
    event = next(one for one in events.since(here, mark) if one["type"] == "checkout.session.completed")
    here.fail(next=100, status=500)
    assert events.deliver(here, event).status_code == 500
    here.fail(next=0)
    row = db.session.query(StripeEvent).filter_by(event_id=event["id"]).one()
    assert row.state == EventState.FAILED
    db.session.commit()
    return row.id


def an_unsent_mail(user_id: int) -> int:
    """Return the row of a mail that is not tried again."""
    kept = {"attempts": mail.MAX_ATTEMPTS, "next_try_at": clock.now() + timedelta(hours=5)}
    row = OutboxMail(
        key="k", user_id=user_id, template="password_changed", context={}, created_at=clock.now(), **kept
    )
    db.session.add(row)
    db.session.commit()
    return row.id


def a_failed_bill() -> int:
    row = MonthlyBill(
        customer_id=a_customer(),
        mode="live",
        month=Month.of(clock.now()).previous.number,
        amount=0,
        credits_amount=0,
        credits=0,
        currency="usd",
        state="failed",
        error="StripeRefused: no",
        created_at=clock.now(),
    )
    db.session.add(row)
    db.session.commit()
    return row.id


def listed(app: Flask) -> str:
    done = app.test_cli_runner().invoke(args=["jobs", "list"])
    assert done.exit_code == 0, done.output
    return str(done.output)


def test_the_command_lists_what_waits_and_retries_it(here: World, app: Flask, alice: Person) -> None:
    event, letter, bill = failed_event(here, app, alice), an_unsent_mail(alice.user_id), a_failed_bill()
    lines = listed(app)
    for kind, number, words in (
        ("event", event, "failed"),
        ("mail", letter, "password changed"),
        ("bill", bill, "StripeRefused: no"),
    ):
        (line,) = [line for line in lines.splitlines() if line.startswith(f"{kind} {number} ")]
        assert words in line
    done = app.test_cli_runner().invoke(args=["jobs", "retry"])
    assert done.exit_code == 0, done.output
    assert f"event {event}  tried" in done.output
    assert not [line for line in listed(app).splitlines() if line.startswith(("event", "bill", f"mail {letter}"))]
    assert len(credits.entries(here)) == 1


def test_one_row_is_retried_by_its_number_and_a_wrong_one_is_refused(
    here: World, app: Flask, alice: Person
) -> None:
    letter = an_unsent_mail(alice.user_id)
    runner = app.test_cli_runner()
    assert f"mail {letter}  tried" in runner.invoke(args=["jobs", "retry", "mail", str(letter)]).output
    for words in (["mail", str(letter)], ["event", "99999"], ["bill", "99999"], ["nothing", "1"], ["mail"]):
        refused = runner.invoke(args=["jobs", "retry", *words])
        assert refused.exit_code != 0, words
        assert "Traceback" not in refused.output


def test_an_admin_sees_and_retries_them(here: World, app: Flask, alice: Person, ada: Person) -> None:
    failed_event(here, app, alice)
    ada.browser.open("/admin/jobs")
    assert "checkout.session.completed" in ada.browser.text
    ada.browser.press("Retry")
    assert "It was tried again." in ada.browser.text
    assert "checkout.session.completed" not in ada.browser.text
    assert credits.balance(here) == 1000


@pytest.mark.parametrize("path", ["event/99999", "nothing/1"])
def test_a_row_that_is_not_there_is_refused(here: World, ada: Person, path: str) -> None:
    sent = {"csrf_token": token(ada.browser)}
    answer = ada.browser.http.post(f"{here.base}/admin/jobs/{path}/retry", data=sent, timeout=30)
    assert answer.status_code in (400, 404)
