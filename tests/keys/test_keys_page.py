"""The keys page: scopes and expiry, rotation, revocation, and the mails about them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
import time_machine
from sqlalchemy import select

from portal import clock
from portal.extensions import db
from portal.models import ApiKey, AuditEntry, OutboxMail
from tests.conftest import Person
from tests.support.browsing import key_in
from tests.support.world import World

pytestmark = pytest.mark.usefixtures("here")
HEADINGS = {"Rotate": "Rotate “", "Revoke": "Revoke “"}


def created(alice: Person, **values: Any) -> str:
    """A key made on the page."""
    alice.browser.open("/keys")
    alice.browser.press("Create key", **{"name": "Website"} | values)
    assert alice.browser.page.status_code == 200, alice.browser.text
    return key_in(alice.browser.page.text)


def rotated(alice: Person, overlap: str) -> str:
    """The key that takes the only key's place."""
    alice.browser.open("/keys")
    alice.browser.open(alice.browser.link("Rotate"))
    alice.browser.press("Rotate", overlap=overlap)
    return key_in(alice.browser.page.text)


def call(here: World, key: str, path: str, body: Any = None) -> requests.Response:
    method = "GET" if body is None else "POST"
    headers = {"Authorization": f"Bearer {key}"}
    return requests.request(method, here.base + path, json=body, headers=headers, timeout=30)


def works(here: World, key: str) -> bool:
    return call(here, key, "/v1/receipt").status_code == 200


def rows(here: World, model: Any) -> list[Any]:
    with here.app.app_context():
        return list(db.session.execute(select(model).order_by(model.id)).scalars())


CALLS = {
    "read": ("/api/v1/billing/subscription", None),
    "spend": ("/api/credits/spend", {"amount": 1, "reference": "r"}),
    "usage": ("/api/v1/usage", {"events": [{"meter": "api_calls", "quantity": 1, "identifier": "r"}]}),
}


@pytest.mark.parametrize("scope", CALLS)
def test_a_key_does_what_it_was_made_for_and_nothing_else(here: World, alice: Person, scope: str) -> None:
    key = created(alice, scopes=[scope])
    for other, (path, body) in CALLS.items():
        answer = call(here, key, path, body)
        if other == scope:
            assert answer.status_code in (200, 402), answer.text
        else:
            assert answer.status_code == 403
            assert (answer.json()["code"], answer.json()["scope"]) == ("scope_missing", other)
    assert here.base + "/keys" == alice.browser.open("/keys").url
    assert scope in alice.browser.text


@pytest.mark.parametrize("path", ["/api/v1/billing/portal", "/api/v1/billing/checkout", "/api/credits/purchase"])
def test_a_key_for_reading_begins_no_payment(here: World, alice: Person, path: str) -> None:
    answer = call(here, created(alice, scopes=["read"]), path, {})
    assert answer.json()["code"] == "scope_missing"


def test_a_key_made_without_choosing_may_do_everything_and_never_ends(here: World, alice: Person) -> None:
    key = created(alice)
    assert call(here, key, "/v1/receipt").json()["key"]["expires_at"] is None
    assert rows(here, ApiKey)[0].scopes == ["read", "spend", "usage"]


@pytest.mark.parametrize(("lifetime", "days"), [("30", 30), ("90", 90)])
def test_a_key_ends_when_it_was_to(here: World, alice: Person, lifetime: str, days: int) -> None:
    key = created(alice, lifetime=lifetime)
    ends = datetime.fromisoformat(call(here, key, "/v1/receipt").json()["key"]["expires_at"])
    assert abs(ends - clock.now() - timedelta(days=days)) < timedelta(minutes=1)
    with time_machine.travel(ends + timedelta(seconds=1)):
        assert not works(here, key)


def test_a_key_s_last_day_is_a_whole_day(here: World, alice: Person) -> None:
    last = (clock.now() + timedelta(days=10)).date()
    key = created(alice, lifetime="date", last_day=last.isoformat())
    ends = datetime.fromisoformat(call(here, key, "/v1/receipt").json()["key"]["expires_at"])
    assert ends == datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)


@pytest.mark.parametrize(
    "values",
    [
        {"scopes": []},
        {"scopes": ["admin"]},
        {"lifetime": "31"},
        {"lifetime": "date"},
        {"lifetime": "date", "last_day": "2020-01-01"},
        {"lifetime": "date", "last_day": "9999-12-31"},
        {"lifetime": "date", "last_day": "tomorrow"},
    ],
    ids=str,
)
def test_odd_terms_are_refused_and_no_key_is_made(here: World, alice: Person, values: dict[str, Any]) -> None:
    alice.browser.open("/keys")
    assert alice.browser.press("Create key", name="Website", **values).status_code == 400
    assert "Please check what you entered" in alice.browser.text
    assert rows(here, ApiKey) == []


def test_both_keys_work_until_the_overlap_is_over(here: World, alice: Person) -> None:
    old = created(alice, scopes=["read"], lifetime="30")
    new = rotated(alice, "24")
    assert works(here, old)
    assert works(here, new)
    first, second = rows(here, ApiKey)
    assert (second.name, second.scopes) == (first.name, ["read"])
    assert abs(second.expires_at - clock.now() - timedelta(days=30)) < timedelta(minutes=1)
    with time_machine.travel(clock.now() + timedelta(hours=25)):
        assert not works(here, old)
        assert works(here, new)
    alice.browser.open("/keys")
    assert "Rotated" in alice.browser.text


def test_a_key_can_be_rotated_away_at_once(here: World, alice: Person) -> None:
    old = created(alice)
    new = rotated(alice, "0")
    assert (works(here, old), works(here, new)) == (False, True)


def test_an_overlap_never_makes_a_key_live_longer(here: World, alice: Person) -> None:
    old = created(alice, lifetime="30")
    with time_machine.travel(clock.now() + timedelta(days=29, hours=23)):
        alice.browser.sign_in(alice.email, "correct horse battery staple")
        rotated(alice, "168")
    with time_machine.travel(clock.now() + timedelta(days=30, hours=1)):
        assert not works(here, old)


@pytest.mark.both_databases
def test_of_two_clicks_on_rotate_one_makes_a_key(here: World, alice: Person) -> None:
    created(alice)
    alice.browser.open("/keys")
    alice.browser.open(alice.browser.link("Rotate"))
    form = alice.browser.form("Rotate")
    answers = [alice.browser.http.post(form.action, data=form.fields, timeout=30) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 409]
    assert len(rows(here, ApiKey)) == 2


@pytest.mark.parametrize("overlap", ["-1", "1000", "x"])
def test_an_odd_overlap_is_refused(here: World, alice: Person, overlap: str) -> None:
    created(alice)
    alice.browser.open("/keys")
    alice.browser.open(alice.browser.link("Rotate"))
    assert alice.browser.press("Rotate", overlap=overlap).status_code == 400
    assert len(rows(here, ApiKey)) == 1


def test_making_rotating_and_revoking_is_written_down_and_mailed(here: World, alice: Person) -> None:
    created(alice, name="Website <b>")
    rotated(alice, "1")
    alice.browser.open("/keys")
    alice.browser.open(alice.browser.link("Revoke"))
    alice.browser.press("Revoke")
    entries = [entry for entry in rows(here, AuditEntry) if entry.action.startswith("key.")]
    assert [entry.action for entry in entries] == ["key.made", "key.rotated", "key.revoked"]
    assert {(entry.actor, entry.actor_id) for entry in entries} == {("user", alice.user_id)}
    assert "Website" not in str([(entry.before, entry.after) for entry in entries])
    mails = [mail.context["what"] for mail in rows(here, OutboxMail) if mail.template == "api_key"]
    assert mails == ["made", "rotated", "revoked"]
