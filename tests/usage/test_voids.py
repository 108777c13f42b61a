"""Usage that is taken back: both entries stay, the sums follow, and what is billed is left alone."""

from typing import Any

import pytest
import requests
from sqlalchemy import select

from portal import clock
from portal.extensions import db
from portal.models import AuditEntry, MonthlyBill, UsageDay, UsageEvent
from portal.usage.events import sum_checks
from portal.usage.monthly_run import closed_months
from portal.usage.monthly_run.months import Month
from tests.support.looking import count
from tests.support.operators import ask, operator_key
from tests.support.usage import LAST, Reporter, event, record, run, summed
from tests.support.world import World

pytestmark = pytest.mark.both_databases


def void(here: World, key: str, customer_id: int, identifier: str, **more: Any) -> requests.Response:
    body = {"customer": str(customer_id), "identifier": identifier, "reason": "Counted twice"} | more
    return ask(here, "POST", "/api/v1/usage/void", key, json=body)


def used(here: World, customer_id: int) -> dict[str, Any]:
    with here.app.app_context():
        events = summed(UsageEvent, customer_id)
        assert summed(UsageDay, customer_id) == events
        assert sum_checks.differences() == []
    return events


@pytest.fixture
def key(here: World) -> str:
    return operator_key(here, "usage:void")


def test_usage_is_voided_once_and_both_entries_stay(here: World, key: str, server: Reporter) -> None:
    assert server.send(event("a", "2.5"), event("b", 4)).json()["accepted"] == 2
    done = void(here, key, server.customer_id, "a")
    month = str(Month.of(clock.now()))
    facts = {"meter": "api_calls", "quantity": "2.5", "month": month}
    assert (done.status_code, done.json()) == (200, facts | {"voided_before": False, "correction": None})
    assert void(here, key, server.customer_id, "a").json() == facts | {"voided_before": True, "correction": None}
    assert used(here, server.customer_id) == {"api_calls": 4}
    assert count(here, UsageEvent) == 3
    assert server.send(event("a", "2.5")).json() == {"accepted": 0, "duplicates": 1}
    with here.app.app_context():
        entry = db.session.execute(select(AuditEntry).filter_by(action="usage.voided")).scalar_one()
        assert (entry.actor, entry.customer_id) == ("operator", server.customer_id)
        assert entry.after == facts | {"reason": "Counted twice"}


def test_what_the_gateway_reported_is_named_as_it_is_stored(here: World, server: Reporter) -> None:
    both = operator_key(here, "usage:void", "usage:report")
    mine = event("a", 3, customer=str(server.customer_id))
    assert ask(here, "POST", "/api/v1/usage", both, json={"events": [mine]}).json()["accepted"] == 1
    assert void(here, both, server.customer_id, "a").status_code == 404
    assert void(here, both, server.customer_id, "op:a").status_code == 200
    assert used(here, server.customer_id) == {"api_calls": 0}
    with here.app.app_context():
        names = db.session.execute(select(UsageEvent.identifier)).scalars()
        taking = next(name for name in names if name.startswith("op:void:"))
    assert void(here, both, server.customer_id, taking).status_code == 404
    forged = event("void:abc", customer=str(server.customer_id))
    answer = ask(here, "POST", "/api/v1/usage", both, json={"events": [forged]})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["events.0.identifier"])


def test_what_is_billed_is_not_voided_and_what_was_voided_is_not_billed(
    here: World, key: str, server: Reporter
) -> None:
    with here.app.app_context():
        record(server.customer_id, ("a", 1000, "api_calls"), ("b", 500, "api_calls"))
    assert void(here, key, server.customer_id, "a").status_code == 200
    with here.app.app_context():
        preview = run(here.app, str(LAST), "--dry-run")
        assert "api_calls 500" in preview.output
        closed_months.close(LAST)
    late = void(here, key, server.customer_id, "b")
    assert (late.status_code, late.json()["code"]) == (409, "month_closed")
    assert void(here, key, server.customer_id, "a").json()["voided_before"] is True
    assert used(here, server.customer_id) == {"api_calls": 500}
    assert count(here, MonthlyBill) == 0


@pytest.mark.parametrize("more", [{"reason": ""}, {"reason": "  "}, {"reason": None}, {"customer": "x"}])
def test_a_reason_and_a_customer_are_asked_for(
    here: World, key: str, server: Reporter, more: dict[str, Any]
) -> None:
    server.send(event("a"))
    answer = void(here, key, server.customer_id, "a", **more)
    assert (answer.status_code, list(answer.json()["errors"])) == (400, list(more))
    assert count(here, UsageEvent) == 1


def test_only_an_operator_key_of_this_scope_voids(here: World, server: Reporter) -> None:
    server.send(event("a"))
    other = operator_key(here, "usage:report", "customers:read", "sign_in_links")
    assert void(here, other, server.customer_id, "a").status_code == 403
    assert void(here, server.key, server.customer_id, "a").status_code == 401
    assert used(here, server.customer_id) == {"api_calls": 1}


def test_another_customer_s_identifier_is_not_found(here: World, key: str, server: Reporter) -> None:
    server.send(event("a"))
    assert void(here, key, server.customer_id + 1, "a").status_code == 404
    assert void(here, key, 10**17, "a").status_code == 404
