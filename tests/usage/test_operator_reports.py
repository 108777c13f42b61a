"""Usage that the operator's gateway reports for everybody: nobody's events keep the others' from being counted."""

import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import requests
from sqlalchemy import select, update

from portal import clock
from portal.customers import stripe_customers
from portal.extensions import db
from portal.models import Customer, OutboxMail, UsageAgreement, UsageDay, UsageEvent, UsageSettings, User
from portal.web.pages import rfc3339
from tests.conftest import Person, person
from tests.support.looking import count
from tests.support.operators import ask, operator_key
from tests.support.usage import Json, Reporter, agree, event, summed, suspend
from tests.support.world import World

pytestmark = pytest.mark.both_databases


def send(here: World, key: str, *events: Json) -> requests.Response:
    return ask(here, "POST", "/api/v1/usage", key, json={"events": list(events)})


def of(customer_id: int, identifier: str, quantity: Any = 1, **more: Any) -> Json:
    return event(identifier, quantity, customer=str(customer_id), **more)


def used(here: World, customer_id: int) -> dict[str, Decimal]:
    with here.app.app_context():
        events = summed(UsageEvent, customer_id)
        assert summed(UsageDay, customer_id) == events
    return events


def limited(here: World, customer_id: int, amount: int) -> None:
    """Set a hard stop, in minor units a month."""
    with here.app.app_context():
        chosen = {"limit_amount": amount, "hard_stop": True, "updated_at": clock.now()}
        db.session.add(UsageSettings(customer_id=customer_id, **chosen))
        db.session.commit()


@pytest.fixture
def gateway(here: World) -> str:
    """The gateway's operator key."""
    return operator_key(here, "usage:report")


@pytest.fixture
def charlies(here: World, charlie: Person) -> int:
    with here.app.app_context():
        found = stripe_customers.of(charlie.user).id
        agree(found)
        db.session.remove()
    return found


def test_a_gateway_reports_for_any_customer(here: World, gateway: str, server: Reporter, charlies: int) -> None:
    events = [of(server.customer_id, "a", 2), of(charlies, "a", 3), of(charlies, "b", "0.5", meter="cpu_hour")]
    answer = send(here, gateway, *events)
    assert answer.json() == {"accepted": 3, "duplicates": 0, "refused": []}
    assert send(here, gateway, *events, *events).json() == {"accepted": 0, "duplicates": 6, "refused": []}
    assert used(here, server.customer_id) == {"api_calls": 2}
    assert used(here, charlies) == {"api_calls": 3, "cpu_hour": Decimal("0.5")}


def test_no_customer_can_use_up_an_identifier_of_the_gateway(here: World, gateway: str, server: Reporter) -> None:
    answer = server.send(event("op:req-1", 0))
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["events.0.identifier"])
    assert server.send(event("req-1", 0)).json()["accepted"] == 1
    assert send(here, gateway, of(server.customer_id, "req-1", 5)).json()["accepted"] == 1
    assert send(here, gateway, of(server.customer_id, "op:req-1", 5)).json()["duplicates"] == 1
    assert used(here, server.customer_id) == {"api_calls": 5}
    with here.app.app_context():
        assert set(db.session.execute(select(UsageEvent.identifier)).scalars()) == {"req-1", "op:req-1"}


def without_usage(here: World) -> tuple[int, int, int]:
    """Return a suspended customer, one at a hard stop of $1, and one who is deleting the account."""
    suspended, stopped, gone = (reporter_id(here, name) for name in ("dora", "erik", "fay"))
    with here.app.app_context():
        suspend(suspended)
        leaving = db.session.execute(select(Customer.user_id).filter_by(id=gone)).scalar_one()
        db.session.execute(update(User).where(User.id == leaving).values(deleted_at=clock.now()))
        db.session.commit()
    limited(here, stopped, 100)
    return suspended, stopped, gone


def test_what_one_customer_may_not_have_taken_is_listed_and_the_rest_is_taken(
    here: World, gateway: str, server: Reporter, charlies: int
) -> None:
    suspended, stopped, gone = without_usage(here)
    answer = send(
        here,
        gateway,
        of(server.customer_id, "a"),
        of(suspended, "b"),
        of(stopped, "c", 1),
        of(10**17, "d"),
        of(stopped, "e", 10**6),
        of(gone, "f"),
        of(charlies, "g", 4),
    )
    assert answer.status_code == 200
    done = answer.json()
    assert (done["accepted"], done["duplicates"]) == (2, 0)
    assert [(one["index"], one["customer"], one["code"]) for one in done["refused"]] == [
        (1, str(suspended), "suspended"),
        (2, str(stopped), "spend_limit_reached"),
        (3, str(10**17), "not_found"),
        (4, str(stopped), "spend_limit_reached"),
        (5, str(gone), "not_found"),
    ]
    assert all(one["detail"] for one in done["refused"])
    assert used(here, server.customer_id) == {"api_calls": 1}
    assert used(here, charlies) == {"api_calls": 4}
    assert used(here, stopped) == used(here, suspended) == {}
    with here.app.app_context():
        mail = db.session.execute(select(OutboxMail).filter_by(template="spend_limit")).scalar_one()
        assert mail.context["hard_stop"] is True
    # What was refused can be sent again, once nothing stands in its way.
    with here.app.app_context():
        db.session.execute(update(UsageSettings).values(limit_amount=10**6))
        db.session.commit()
    assert send(here, gateway, of(stopped, "c", 1), of(stopped, "e", 10**6)).json()["accepted"] == 2


def test_a_day_that_is_full_is_its_customer_s_own(
    here: World, gateway: str, server: Reporter, charlies: int
) -> None:
    for number in range(10):
        full = [of(server.customer_id, f"{number}-{n}", 10**15) for n in range(10)]
        assert send(here, gateway, *full).json()["accepted"] == 10
    done = send(here, gateway, of(server.customer_id, "one more"), of(charlies, "a")).json()
    assert (done["accepted"], [one["code"] for one in done["refused"]]) == (1, ["invalid_input"])


BAD: dict[str, tuple[Json, str]] = {
    "no customer": (event("a"), "customer"),
    "a customer that is a number": ({**event("a"), "customer": 1}, "customer"),
    "a customer that is a word": ({**event("a"), "customer": "alice"}, "customer"),
    "a customer below zero": ({**event("a"), "customer": "-1"}, "customer"),
    "a customer in other digits": ({**event("a"), "customer": "١"}, "customer"),
    "an unknown meter": (event("a", meter="coffee", customer="1"), "meter"),
    "a long identifier": (event("x" * 98, customer="1"), "identifier"),
    "no quantity": (event("a", None, customer="1"), "quantity"),
    "a closed period": (event("a", customer="1", timestamp="2020-01-01T00:00:00Z"), "timestamp"),
}


@pytest.mark.parametrize("case", BAD)
def test_malformed_input_alone_refuses_the_whole(here: World, gateway: str, server: Reporter, case: str) -> None:
    bad, field = BAD[case]
    answer = send(here, gateway, of(server.customer_id, "first"), bad)
    assert (answer.status_code, answer.json()["index"]) == (400, 1)
    assert list(answer.json()["errors"]) == [f"events.1.{field}"]
    assert count(here, UsageEvent) == 0


def test_one_identifier_for_two_things_of_one_customer_is_a_conflict(
    here: World, gateway: str, server: Reporter, charlies: int
) -> None:
    answer = send(here, gateway, of(charlies, "a"), of(server.customer_id, "a", 2), of(charlies, "op:a", 3))
    assert (answer.status_code, answer.json()["index"]) == (409, 2)


def test_a_customer_s_key_names_no_customer(here: World, server: Reporter, charlies: int) -> None:
    for named in (charlies, server.customer_id):
        answer = server.send(event("a"), of(named, "b"))
        assert (answer.status_code, list(answer.json()["errors"])) == (400, ["events.1.customer"])
    assert count(here, UsageEvent) == 0


def test_a_key_for_something_else_reports_nothing(here: World, server: Reporter) -> None:
    other = operator_key(here, "usage:void", "customers:read", "sign_in_links")
    answer = send(here, other, of(server.customer_id, "a"))
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    assert ask(here, "GET", "/api/v1/usage", operator_key(here, "usage:report")).status_code == 401


def test_the_operator_can_close_customers_own_reports(
    here: World, gateway: str, server: Reporter, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice.browser.open("/keys")
    assert "Usage: report what was used" in alice.browser.text
    settings = here.app.extensions["settings"].model_copy(update={"usage_self_report": False})
    monkeypatch.setitem(here.app.extensions, "settings", settings)
    answer = server.send(event("a"))
    assert (answer.status_code, answer.json()["code"]) == (403, "self_report_closed")
    assert server.month().status_code == 200
    assert send(here, gateway, of(server.customer_id, "a")).json()["accepted"] == 1
    alice.browser.open("/keys")
    assert "the service itself reports it here" in alice.browser.text


def test_two_gateways_at_once_count_each_event_once(here: World, gateway: str) -> None:
    ids = [reporter_id(here, f"customer{number}") for number in range(8)]
    events = [of(one, f"e{number}") for number in range(40) for one in ids]
    answers: list[Json] = []

    def report(order: int) -> None:
        answers.append(send(here, gateway, *events[::order]).json())

    threads = [threading.Thread(target=report, args=(order,)) for order in (1, -1, 1, -1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(answer["accepted"] for answer in answers) == len(events)
    assert all(answer["refused"] == [] for answer in answers)
    assert all(used(here, one) == {"api_calls": 40} for one in ids)


def reporter_id(here: World, name: str) -> int:
    """The customer id of a new user who has an agreement and no browser."""
    made = person(here, name, signed_in=False)
    with here.app.app_context():
        found = stripe_customers.of(made.user).id
        agree(found)
        db.session.remove()
    return found


def test_events_that_no_agreement_covers_are_listed_and_the_rest_is_taken(
    here: World, gateway: str, charlies: int, server: Reporter
) -> None:
    with here.app.app_context():
        db.session.execute(
            update(UsageAgreement)
            .where(UsageAgreement.customer_id == charlies)
            .values(created_at=clock.now() - timedelta(days=3))
        )
        db.session.commit()
    old = rfc3339(clock.now() - timedelta(days=4))
    answer = send(here, gateway, of(charlies, "a"), of(charlies, "b", timestamp=old), of(server.customer_id, "c"))
    assert answer.json()["accepted"] == 2
    assert [(one["index"], one["code"]) for one in answer.json()["refused"]] == [(1, "no_agreement")]
    assert used(here, charlies) == {"api_calls": 1}
