"""The house itself, read off its URL map: every door guarded or public on purpose, and none of them lost."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, select
from werkzeug.routing import Rule

from portal.extensions import db
from portal.models import ApiKey, Customer, Invoice, Purchase
from portal.webhooks.handlers import HANDLERS
from tests.conftest import Person
from tests.support import browsing, servers
from tests.support.world import World

README = (servers.ROOT / "README.md").read_text()

# Doors that a stranger may open; every other one asks who comes.
PUBLIC = {
    "billing.home",
    "billing.pricing",
    "billing.checkout",
    "success.page",
    "success.state",
    "success.reveal",
    "accounts.signup",
    "accounts.login",
    "accounts.forgot",
    "accounts.reset",
    "accounts.claim",
    "accounts.verify",
    "accounts.mail_sent",
    "accounts.logout",
    "health.healthz",
    "health.readyz",
    "webhooks.live",
    "webhooks.test",
    "static",
}
BY_KEY = ("keys_api.", "billing_api.")  # these ask for an API key instead of a session
SIGNED = ("webhooks.",)  # these ask for a signature instead of a token

CONTRACT = {
    "/": "GET",
    "/pricing": "GET",
    "/signup": "GET POST",
    "/login": "GET POST",
    "/logout": "POST",
    "/password/forgot": "GET POST",
    "/password/reset/<token>": "GET POST",
    "/verify/<token>": "GET",
    "/billing/checkout": "POST",
    "/billing/success": "GET",
    "/billing": "GET",
    "/keys": "GET POST",
    "/account": "GET",
    "/healthz": "GET",
    "/readyz": "GET",
    "/v1/receipt": "GET",
    "/api/v1/entitlements": "GET",
    "/api/auth/stripe/checkout": "POST",
    "/api/auth/stripe/portal": "POST",
    "/api/auth/subscriptions": "GET",
    "/api/webhooks/stripe": "POST",
    "/api/webhooks/stripe-test": "POST",
    "/stripe/webhook": "POST",
    "/api/v1/billing/webhooks/stripe": "POST",
    "/api/credits/webhook": "POST",
    "/api/billing/stripe/webhook": "POST",
}


def address(rule: Rule, values: dict[str, Any]) -> str:
    """The rule's path with values for its arguments."""
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda found: str(values.get(found[1], 1)), rule.rule)


def doors(app: Flask, method: str) -> Iterator[Rule]:
    return (rule for rule in app.url_map.iter_rules() if method in (rule.methods or ()))


def test_no_address_of_the_contract_is_lost(app: Flask) -> None:
    there: dict[str, set[str]] = {}
    for rule in app.url_map.iter_rules():
        there.setdefault(rule.rule, set()).update(rule.methods or ())
    for path, methods in CONTRACT.items():
        assert set(methods.split()) <= there.get(path, set()), path


def test_every_post_without_a_token_is_refused(here: World, http: FlaskClient) -> None:
    posts = [rule for rule in doors(here.app, "POST") if not rule.endpoint.startswith((*BY_KEY, *SIGNED))]
    assert len(posts) > 8
    for rule in posts:
        answer = http.post(address(rule, {}))
        assert answer.status_code == 400, rule
        assert "form has expired" in answer.text, rule


def test_every_door_is_guarded_or_public_on_purpose(here: World, http: FlaskClient) -> None:
    here.app.config["WTF_CSRF_ENABLED"] = False
    try:
        for rule in here.app.url_map.iter_rules():
            if rule.endpoint in PUBLIC:
                continue
            for method in {"GET", "POST"} & (rule.methods or set()):
                answer = http.open(address(rule, {}), method=method)
                if rule.endpoint.startswith(BY_KEY):
                    assert answer.status_code == 401, rule
                else:
                    assert answer.status_code in (302, 303), rule
                    assert "/login" in answer.headers["Location"], rule
    finally:
        here.app.config["WTF_CSRF_ENABLED"] = True


def test_somebody_else_s_things_are_not_found_behind_any_door(here: World, bob: Person, charlie: Person) -> None:
    bob.browser.open("/keys")
    bob.browser.press("Create key", name="mine")
    with here.app.app_context():
        values = {"key_id": db.session.execute(select(ApiKey.id)).scalars().first()}
        with_ids = [rule for rule in here.app.url_map.iter_rules() if rule.arguments & {"key_id"}]
    charlie.browser.open("/keys")
    token = charlie.browser.forms()[0].fields["csrf_token"]
    assert with_ids
    for rule in with_ids:
        for method in {"GET", "POST"} & (rule.methods or set()):
            url = here.base + address(rule, values)
            answer = charlie.browser.http.request(method, url, data={"csrf_token": token}, timeout=30)
            assert answer.status_code == 404, rule


def test_an_argument_that_names_somebody_s_thing_is_tried_above(app: Flask) -> None:
    """A new kind of argument has to be thought of: tokens prove themselves, files and words are nobody's."""
    known = {"key_id", "token", "filename", "kind"}
    assert {name for rule in app.url_map.iter_rules() for name in rule.arguments} <= known


PAGES = ["/pricing", "/pricing?cycle=year", "/billing", "/keys", "/account"]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_carries_its_headers_and_no_inline_code(here: World, bob: Person, path: str) -> None:
    answer = bob.browser.open(path)
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert not re.search(r"<[^>]+\s(style|on\w+)=", answer.text)
    assert not re.search(r"<script(?![^>]*\ssrc=)", answer.text)
    posts = [form for form in bob.browser.forms() if form.method == "post"]
    assert posts
    assert all(form.fields.get("csrf_token") for form in posts)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_asks_six_questions_at_the_most_however_many_rows_there_are(
    here: World, bob: Person, path: str
) -> None:
    with here.app.app_context():
        customer_id = db.session.execute(select(Customer.id)).scalar_one()
        sample = db.session.execute(select(Invoice)).scalars().first()
        assert sample is not None
        for number in range(50):
            columns = {column.name: getattr(sample, column.name) for column in Invoice.__table__.columns}
            db.session.add(Invoice(**columns | {"id": None, "stripe_id": f"in_{number}"}))
            key = {
                "customer_id": customer_id,
                "name": "k",
                "prefix": "key_live_x",
                "created_at": sample.created_at,
            }
            db.session.add(ApiKey(**key, hash=f"{number:064}"))
        db.session.commit()
        engine = db.engine
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if not statement.startswith("BEGIN"):
            asked.append(statement)

    bob.browser.open(path)  # so that what is noted aside was noted
    event.listen(engine, "before_cursor_execute", note)
    try:
        assert bob.browser.open(path).status_code == 200
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert 0 < len(asked) <= 6, "\n".join(asked)


def test_static_files_are_named_by_their_content_and_kept_for_a_year(
    here: World, visitor: browsing.Browser
) -> None:
    visitor.open("/pricing")
    found = re.findall(r'(?:href|src)="(/static/[^"]+)"', visitor.page.text)
    assert len(found) >= 2
    for path in found:
        assert "?v=" in path
        answer = visitor.http.get(here.base + path, timeout=30)
        assert answer.status_code == 200
        assert f"max-age={365 * 24 * 3600}" in answer.headers["Cache-Control"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_too_many_checkouts_are_told_to_wait(here: World, alice: Person) -> None:
    alice.browser.open("/pricing")
    data = {"price": "nonsense", "csrf_token": alice.browser.forms()[0].fields["csrf_token"]}
    here.app.config["RATELIMIT_ENABLED"] = True
    try:
        answers = [
            alice.browser.http.post(f"{here.base}/billing/checkout", data=data, timeout=30) for _ in range(12)
        ]
    finally:
        here.app.config["RATELIMIT_ENABLED"] = False
    assert [answer.status_code for answer in answers][-1] == 429
    assert int(answers[-1].headers["Retry-After"]) > 0


def test_a_call_to_stripe_inside_a_transaction_is_refused(app: Flask) -> None:
    from portal import gateway

    db.session.execute(select(Purchase.id))
    with pytest.raises(RuntimeError, match="open transaction"):
        gateway.of("live").session("cs_live_x")


def test_planted_secrets_are_in_no_log(here: World, alice: Person, caplog: pytest.LogCaptureFixture) -> None:
    alice.browser.buy("pro-monthly")
    key = alice.browser.reveal()
    alice.browser.receipt(key)
    here.flush()
    for secret in (key, servers.LIVE_KEY, servers.SECRETS["live"], "4242424242424242", "correct horse battery"):
        assert secret not in caplog.text
    assert "subscription_activated" in caplog.text
    assert "payment_succeeded" in caplog.text
    assert "stripe_webhook_handled_successfully" in caplog.text


@pytest.mark.parametrize("kind", sorted(HANDLERS))
def test_every_handled_event_is_in_the_readme(kind: str) -> None:
    assert f"`{kind}`" in README or kind in README


def test_the_readme_names_only_commands_that_exist(app: Flask) -> None:
    named = set(re.findall(r"flask (?:--app wsgi )?([a-z]+(?:-[a-z]+)*)", README))
    assert named <= set(app.cli.commands) | {"db", "run", "shell"}, named - set(app.cli.commands)


def test_no_file_grew_beyond_what_one_reads_in_one_go() -> None:
    """300 lines, 500 in the sandbox: past that a file asks to be two."""
    for path in (servers.ROOT / "portal").rglob("*.py"):
        lines = len(Path(path).read_text().splitlines())
        assert lines <= (500 if "sandbox" in path.parts else 300), (path.name, lines)
