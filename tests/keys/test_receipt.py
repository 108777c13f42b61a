"""API keys: their format, their responses, and when they stop working."""

import re
import time
from datetime import datetime, timedelta
from typing import Any

import pytest
import requests
from flask import Flask
from sqlalchemy import select, update

from portal import clock
from portal.customers import stripe_customers
from portal.extensions import db
from portal.keys import api_keys
from portal.models import ApiKey, Customer, Plan
from portal.models.key import digest, is_well_formed, new_secret
from tests.conftest import Person
from tests.support.world import World

FORM = re.compile(r"key_(live|test)_[0-9A-Za-z]{49}")


@pytest.fixture
def key(here: World, alice: Person) -> str:
    """A key of Alice's, who has bought nothing."""
    return made(here, alice)


def made(here: World, person: Person, mode: str = "live", name: str = "Website") -> str:
    with here.app.app_context():
        _, secret = api_keys.mint(stripe_customers.of(person.user, mode), name)
        db.session.commit()
    return secret


def ask(here: World, header: str | None, path: str = "/v1/receipt") -> requests.Response:
    headers = {} if header is None else {"Authorization": header}
    return requests.get(here.base + path, headers=headers, timeout=30)


def receipt(here: World, key: str) -> requests.Response:
    return ask(here, f"Bearer {key}")


def change(here: World, model: type, **values: Any) -> None:
    with here.app.app_context():
        db.session.execute(update(model).values(**values))
        db.session.commit()


def refused(answer: requests.Response, status: int, code: str) -> None:
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert {"title", "detail", "request_id"} <= problem.keys()


@pytest.mark.parametrize("mode", ["live", "test"])
def test_a_key_says_its_mode_and_carries_a_checksum(mode: str) -> None:
    secret = new_secret(f"key_{mode}_")
    assert FORM.fullmatch(secret)
    assert secret.startswith(f"key_{mode}_")
    assert is_well_formed(secret)


def test_no_two_keys_are_alike() -> None:
    assert len({new_secret("key_live_") for _ in range(1000)}) == 1000


@pytest.mark.parametrize("place", [0, 4, 9, 20, 51, 57])
def test_one_wrong_character_breaks_the_checksum(place: int) -> None:
    secret = new_secret("key_live_")
    other = "b" if secret[place] == "a" else "a"
    assert not is_well_formed(secret[:place] + other + secret[place + 1 :])


def test_only_the_hash_and_the_beginning_are_kept(app: Flask, here: World, key: str) -> None:
    row = db.session.execute(select(ApiKey)).scalar_one()
    assert row.hash == digest(key)
    assert key.startswith(row.prefix)
    assert len(row.prefix) == len("key_live_") + 8


def test_the_receipt_of_a_customer_on_the_free_plan(here: World, key: str) -> None:
    answer = receipt(here, key)
    assert answer.status_code == 200
    facts = answer.json()
    with here.app.app_context():
        customer = db.session.execute(select(Customer.id)).scalar_one()
        entitlements = db.session.execute(select(Plan.entitlements).filter_by(tier="free")).scalar_one()
    assert facts == {
        "customer": str(customer),
        "mode": "live",
        "status": "free",
        "tier": "free",
        "entitlements": entitlements,
        "credits": 0,
        "cluster": None,
        "included": {},
        "key": {"prefix": key[:17], "name": "Website", "last_used_at": None, "expires_at": None},
    }


def test_the_receipt_of_a_customer_who_has_bought(here: World, bob: Person) -> None:
    facts = receipt(here, made(here, bob)).json()
    assert (facts["status"], facts["tier"]) == ("active", "pro")
    assert facts["entitlements"]
    assert all(isinstance(value, bool | int | float | str) for value in facts["entitlements"].values())


def test_a_test_key_sees_nothing_of_live(here: World, bob: Person) -> None:
    facts = receipt(here, made(here, bob, "test")).json()
    assert (facts["mode"], facts["tier"]) == ("test", "free")


def test_entitlements_are_the_same_facts_without_the_key_s_own(here: World, key: str) -> None:
    facts = receipt(here, key).json()
    del facts["key"]
    assert ask(here, f"Bearer {key}", "/api/v1/entitlements").json() == facts


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer nonsense",
        "Basic {key}",
        "{key}",
        "Bearer {key}x",
        "Bearer {short}",
        "Bearer {unknown}",
        "Bearer " + "x" * 5000,
        "Bearer ümläut",
    ],
)
def test_without_a_good_key_there_is_no_receipt(here: World, key: str, header: str | None) -> None:
    if header is not None:
        header = header.format(key=key, short=key[:-1], unknown=new_secret("key_live_"))
    answer = ask(here, header and header.encode("latin-1"))  # type: ignore[arg-type]
    refused(answer, 401, "unauthorised")
    assert key not in answer.text


def test_the_scheme_s_case_does_not_matter(here: World, key: str) -> None:
    assert ask(here, f"bearer {key}").status_code == 200


def test_a_key_that_was_revoked_a_moment_ago_is_dead(here: World, key: str) -> None:
    assert receipt(here, key).status_code == 200
    with here.app.app_context():
        api_keys.revoke(db.session.execute(select(ApiKey)).scalar_one())
        db.session.commit()
    refused(receipt(here, key), 401, "unauthorised")


@pytest.mark.parametrize(("left", "status"), [(timedelta(minutes=1), 200), (timedelta(seconds=-1), 401)])
def test_a_key_works_until_it_expires(here: World, key: str, left: timedelta, status: int) -> None:
    expires = clock.now().replace(microsecond=0) + left
    change(here, ApiKey, expires_at=expires)
    answer = receipt(here, key)
    assert answer.status_code == status
    if status == 200:
        assert datetime.fromisoformat(answer.json()["key"]["expires_at"]) == expires


def test_a_suspended_customer_is_told_what_to_do_and_the_lift_works_at_once(here: World, key: str) -> None:
    receipt(here, key)
    change(here, Customer, suspended_at=clock.now())
    answer = receipt(here, key)
    refused(answer, 402, "suspended")
    assert "usage page says why" in answer.json()["detail"]  # no card lifts what an admin did
    change(here, Customer, suspended_at=None)
    assert receipt(here, key).status_code == 200


def test_the_last_use_is_noted_to_the_minute(here: World, key: str) -> None:
    receipt(here, key)
    first = receipt(here, key).json()["key"]["last_used_at"]
    assert abs(clock.now() - datetime.fromisoformat(first)) < timedelta(seconds=30)
    assert receipt(here, key).json()["key"]["last_used_at"] == first
    change(here, ApiKey, last_used_at=clock.now() - timedelta(minutes=2))
    receipt(here, key)
    later = receipt(here, key).json()["key"]["last_used_at"]
    assert datetime.fromisoformat(later) >= datetime.fromisoformat(first)


def test_a_changed_catalogue_reaches_keys_that_were_answered_before(
    here: World, key: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = receipt(here, key).json()["entitlements"]
    name = next(name for name, value in before.items() if type(value) is int)
    settings = here.app.extensions["settings"]
    text = settings.catalogue.read_text()
    changed = re.sub(rf"\b{name} = {before[name]}\b", f"{name} = 424242", text, count=1)
    assert changed != text
    (tmp_path / "catalogue.toml").write_text(changed)
    monkeypatch.setitem(
        here.app.extensions, "settings", settings.model_copy(update={"catalogue": tmp_path / "catalogue.toml"})
    )
    assert here.app.test_cli_runner().invoke(args=["seed-plans"]).exit_code == 0
    assert receipt(here, key).json()["entitlements"] == before | {name: 424242}


@pytest.fixture
def somebody_s(here: World, alice: Person, key: str) -> int:
    """The id of Alice's key."""
    with here.app.app_context():
        return db.session.execute(select(ApiKey.id)).scalar_one()


def test_somebody_else_s_key_is_not_found_and_lives_on(
    here: World, charlie: Person, key: str, somebody_s: int
) -> None:
    made(here, charlie)
    path = f"{here.base}/keys/{somebody_s}/revoke"
    assert charlie.browser.open(path).status_code == 404
    charlie.browser.open("/keys")
    token = charlie.browser.form("Create key").fields["csrf_token"]
    assert charlie.browser.http.post(path, data={"csrf_token": token}).status_code == 404
    assert charlie.browser.open(f"{here.base}/keys/{somebody_s + 1000}/revoke").status_code == 404
    assert receipt(here, key).status_code == 200


def test_keys_are_made_and_revoked_without_javascript(here: World, alice: Person) -> None:
    browser = alice.browser
    browser.open("/keys")
    assert "No keys yet" in browser.text
    browser.press("Create key", name="Website")
    shown = FORM.search(browser.page.text)
    assert shown is not None
    assert browser.page.headers["Cache-Control"] == "no-store"
    assert browser.page.headers["Referrer-Policy"] == "no-referrer"
    assert receipt(here, shown[0]).json()["key"]["name"] == "Website"
    browser.open("/keys")
    assert shown[0] not in browser.page.text
    assert shown[0][:17] in browser.page.text
    browser.open(browser.link("Revoke"))
    browser.press("Revoke")
    assert browser.page.url == f"{here.base}/keys"
    assert "Revoked" in browser.text
    refused(receipt(here, shown[0]), 401, "unauthorised")


@pytest.mark.parametrize("name", ["", "   ", "x" * 101])
def test_a_key_needs_a_short_name(here: World, alice: Person, name: str) -> None:
    alice.browser.open("/keys")
    assert alice.browser.press("Create key", name=name).status_code == 400
    with here.app.app_context():
        assert db.session.execute(select(ApiKey)).scalars().all() == []


def test_revoking_twice_is_as_good_as_once(here: World, alice: Person, key: str, somebody_s: int) -> None:
    for _ in range(2):
        alice.browser.open(f"/keys/{somebody_s}/revoke")
        alice.browser.press("Revoke")
        assert alice.browser.page.status_code == 200
    with here.app.app_context():
        assert db.session.execute(select(ApiKey.revoked_at)).scalar_one() is not None


def test_fifty_keys_are_enough(here: World, alice: Person) -> None:
    for _ in range(50):
        made(here, alice)
    alice.browser.open("/keys")
    alice.browser.press("Create key", name="One more")
    assert alice.browser.page.status_code == 409
    assert "at most 50" in alice.browser.text


def test_asking_is_fast_enough_to_do_on_every_request(here: World, key: str) -> None:
    """A hundred answers through the whole app in well under a second, the first not counted."""
    client = here.app.test_client()
    headers = {"Authorization": f"Bearer {key}"}
    client.get("/v1/receipt", headers=headers)
    start = time.process_time()
    for _ in range(100):
        assert client.get("/v1/receipt", headers=headers).status_code == 200
    assert time.process_time() - start < 1
