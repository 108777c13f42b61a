"""To anyone but staff, nothing exists under ADMIN_PATH, for any method; checked for every URL of the map."""

import requests
from sqlalchemy import func, select
from werkzeug.routing import Rule

from portal.extensions import db
from portal.models import ApiKey, Order, StripeEvent
from tests.conftest import PASSWORD, Person
from tests.support.addresses import address, is_admin_s, rules, token
from tests.support.browsing import Browser
from tests.support.world import World

METHODS = ("GET", "POST", "PUT", "DELETE")


def pages(here: World, method: str) -> list[Rule]:
    return [rule for rule in rules(here, method) if is_admin_s(here, rule) and not rule.rule.startswith("/api/")]


def admin_addresses(here: World) -> list[str]:
    path = here.app.extensions["settings"].admin_path
    found = [
        address(here, rule) for method in METHODS for rule in rules(here, method) if rule.rule.startswith(path)
    ]
    assert len(set(found)) > 5
    return [*found, f"{here.base}{path}/never-was"]


def answers(here: World, http: requests.Session, csrf_token: str) -> set[tuple[int, str]]:
    """Return the responses of every URL under ADMIN_PATH, for every method: status and text."""
    seen = set()
    for url in admin_addresses(here):
        for method in METHODS:
            for data in ({}, {"csrf_token": csrf_token}):
                answer = http.request(method, url, data=data, allow_redirects=False, timeout=30)
                seen.add((answer.status_code, "Page not found" in answer.text))
    return seen


def test_nobody_else_finds_anything(here: World, visitor: Browser, bob: Person) -> None:
    for browser in (visitor, bob.browser):
        given = token(browser)
        assert answers(here, browser.http, given) == {(404, True)}


def test_an_admin_s_form_without_its_token_is_refused(here: World, admin: Browser) -> None:
    for rule in pages(here, "POST"):
        answer = admin.http.post(address(here, rule), allow_redirects=False, timeout=30)
        assert answer.status_code == 400, rule
        assert "That form has expired" in answer.text, rule


def test_in_production_nobody_comes_in_without_a_second_factor(here: World, admin: Browser, monkeypatch) -> None:
    settings = here.app.extensions["settings"].model_copy(update={"environment": "production"})
    monkeypatch.setitem(here.app.extensions, "settings", settings)
    for path in ("/admin", "/admin/events"):
        admin.open(path)
        assert admin.page.url.endswith("/account/second-factor"), admin.page.url
        assert "The admin pages need a second factor." in admin.text


def test_support_may_look_and_replay(here: World, support: Browser) -> None:
    assert support.open("/admin/events").status_code == 200
    assert support.press("Fetch missed events", mode="live", days="no").status_code == 400  # and not 403


# What support may do beside looking: find people, run the checks, and have events handled that were not.
SUPPORT_MAY = {
    "admin_customers.search",
    "admin_customers.resync",
    "admin_testing.search",
    "admin_testing.check",
    "admin_events.replay",
    "admin_events.dry_run",
    "admin_events.backfill",
    "admin_jobs.retry",
    "admin_checks.run",
}


def test_support_does_none_of_what_moves_money_or_access(here: World, support: Browser, bob: Person) -> None:
    """Every form under ADMIN_PATH, from the URL map: a new one is refused until it is listed."""
    with here.app.app_context():
        number = db.session.execute(select(Order.number)).scalar_one()
        ids = {"event_id": select(StripeEvent.id).limit(1), "key_id": select(ApiKey.id).limit(1)}
        named = {name: db.session.execute(query).scalar() or 1 for name, query in ids.items()}
    named |= {"user_id": bob.user_id, "number": number, "call_id": 1, "payment_id": 1}
    before = live_rows(here)
    sent = {"csrf_token": token(support), "amount": "1", "credits": "1", "reason": "x", "mode": "live"}
    refused = set()
    for rule in pages(here, "POST"):
        if rule.endpoint in SUPPORT_MAY:
            continue
        assert rule.arguments <= named.keys(), rule
        url = address(here, rule, **{name: named[name] for name in rule.arguments})
        answer = support.http.post(url, data=sent, allow_redirects=False, timeout=30)
        assert answer.status_code == 403, (rule, answer.status_code)
        refused.add(rule.endpoint)
    assert len(refused) > 12
    assert live_rows(here) == before
    here_are = {rule.endpoint for rule in pages(here, "POST")}
    assert here_are >= SUPPORT_MAY, SUPPORT_MAY - here_are


def live_rows(here: World) -> dict[str, int]:
    """Return the number of rows in each table, without those that viewing pages adds."""
    with here.app.app_context():
        tables = [
            table for table in db.metadata.sorted_tables if table.name not in ("audit_entries", "user_sessions")
        ]
        return {
            table.name: db.session.execute(select(func.count()).select_from(table)).scalar_one()
            for table in tables
        }


def test_support_opens_no_call_of_the_admin_s_api(here: World, support: Browser) -> None:
    sent = {"email": "sue@example.com", "password": PASSWORD}
    access = requests.post(f"{here.base}/api/auth/token", json=sent, timeout=30).json()["access_token"]
    for rule in here.app.url_map.iter_rules():
        if rule.rule.startswith("/api/admin/"):
            for method in {"GET", "POST"} & (rule.methods or set()):
                for http, headers in ((support.http, {}), (requests, {"Authorization": f"Bearer {access}"})):
                    url = address(here, rule)
                    answer = http.request(method, url, json={}, headers=headers, timeout=30)
                    assert answer.status_code == 404, (method, rule)


def test_support_sees_no_payload_in_the_clear(here: World, support: Browser, bob: Person) -> None:
    with here.app.app_context():
        event = db.session.execute(select(StripeEvent.id).limit(1)).scalar_one()
    support.open(f"/admin/events/{event}")
    assert "Show all of it" not in support.text
    sent = {"csrf_token": token(support)}
    answer = support.http.post(f"{here.base}/admin/events/{event}/payload", data=sent, timeout=30)
    assert answer.status_code == 403


def test_who_loses_the_role_finds_nothing_from_then_on(here: World, admin: Browser, ada: Person) -> None:
    assert admin.open("/admin").status_code == 200
    said = here.app.test_cli_runner().invoke(args=["users", "set-role", ada.email, "customer", "--reason", "Left"])
    assert f"{ada.email} has the role customer." in said.output
    assert admin.open("/admin").status_code == 404


def test_the_header_leads_admins_there_and_nobody_else(here: World, admin: Browser, charlie: Person) -> None:
    admin.open("/account")
    assert admin.link("Admin") == here.app.extensions["settings"].admin_path
    assert ">Admin<" not in charlie.browser.open("/account").text
