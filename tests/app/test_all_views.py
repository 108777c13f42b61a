"""Rules for every room, checked for every URL of the map, so that a new view is included."""

import html
import io
import logging
from collections.abc import Iterator
from urllib.parse import unquote

import pytest
import requests
import structlog
from flask import Flask
from sqlalchemy import func, select, text

from portal import gateway
from portal.customers import stripe_customers
from portal.extensions import db
from portal.keys import api_keys
from portal.models import ApiKey, Customer, Order, User, UserSession
from tests.conftest import PASSWORD, Person
from tests.support import servers
from tests.support.addresses import address, is_admin_s, is_exempt, pages, rules, token
from tests.support.browsing import CARD, Browser
from tests.support.looking import everything_stored
from tests.support.world import World

# Whoever comes may open these; every other view asks for a signed-in browser or an API key.
PUBLIC = {
    "static": "style sheet and script",
    "billing.home": "leads to the prices",
    "billing.pricing": "the prices",
    "billing.checkout": "leads a stranger through sign-up",
    "success.page": "shows an order to whom it belongs, by rules of its own",
    "success.state": "the same",
    "success.reveal": "the same",
    "success.address": "the same",
    "sign_in.signup": "a door",
    "sign_in.login": "a door",
    "sign_in.logout": "harmless",
    "sign_in.forgot": "a door",
    "sign_in.mail_sent": "words",
    "proof.reset": "a mailed token is the key",
    "proof.claim": "a mailed token is the key",
    "proof.verify": "a mailed token is the key",
    "sign_in_links.follow": "a link of the operator's service is the key",
    "sign_in_links.enter": "a link of the operator's service is the key",
    "sign_in.second_step": "asks whoever was asked for the password",
    "email.approve": "a mailed token is the key",
    "email.confirm": "a mailed token is the key",
    "tokens_api.token": "a door",
    "tokens_api.refresh": "a refresh token is the key",
    "openapi.openapi": "what the JSON API takes",
    "openapi.docs": "the same for people",
    "plans_api.list_plans": "the prices, for a separate front end",
    "credits_purchase_api.list_packages": "the same of credits",
    "health.healthz": "a probe",
    "health.readyz": "a probe",
    "metrics.metrics": "needs METRICS_TOKEN in production; development answers this machine",
    "webhooks.live": "signed by Stripe",
    "webhooks.test": "signed by Stripe",
}
# What addresses name: somebody's row, of which bob's is asked for here, or nobody's.
OWNED = {
    "key_id": select(func.max(ApiKey.id)).join(Customer).join(User).where(User.email == "bob@example.com"),
    "browser_id": select(func.max(UserSession.id)).join(User).where(User.email == "bob@example.com"),
}
NOBODY_S = {"token", "kind", "filename"}
# Asked with an API key (tests/credits asks with another customer's), or with an operator key, which sees all.
BY_KEY_ALONE = {"session_id", "customer_id"}

# The contract's addresses that there are so far. None of them may be lost.
CONTRACT = """
GET / · GET /pricing · GET /signup · POST /signup · GET /login · POST /login · POST /logout
GET /password/forgot · POST /password/forgot · GET /password/reset/t · POST /password/reset/t · GET /verify/t
POST /billing/checkout · GET /billing/success · GET /billing · GET /billing/change · POST /billing/change
GET /billing/cancel · POST /billing/cancel · POST /billing/resume-plan · GET /keys · POST /keys · GET /account
GET /healthz · GET /readyz · GET /metrics · GET /v1/receipt · GET /api/v1/entitlements
POST /api/v1/billing/checkout · GET /api/v1/billing/subscription · POST /api/v1/billing/portal
POST /api/v1/billing/cancel · POST /api/auth/token · POST /api/auth/refresh · GET /api/openapi.json · GET /api/docs
GET /usage · POST /api/v1/usage · GET /api/v1/usage
POST /api/v1/sign-in-links · GET /api/v1/customers · GET /api/v1/customers/1
POST /api/auth/stripe/checkout · POST /api/auth/stripe/portal · GET /api/auth/subscriptions
POST /api/webhooks/stripe · POST /api/webhooks/stripe-test · POST /stripe/webhook
POST /api/v1/billing/webhooks/stripe · POST /api/credits/webhook · POST /api/billing/stripe/webhook
GET /admin · GET /admin/test-billing · GET /admin/events
GET /api/admin/billing-test · POST /api/admin/billing-test
"""


def test_every_post_without_its_token_is_refused_but_for_signed_and_keyed_ones(here: World, alice: Person) -> None:
    for rule in rules(here, "POST"):
        if is_admin_s(here, rule):
            continue
        answer = alice.browser.http.post(address(here, rule), allow_redirects=False, timeout=30)
        if is_exempt(here, rule):
            assert answer.status_code in (400, 401), rule
            assert answer.json()["code"] in ("bad_signature", "invalid_input", "unauthorised"), rule
        else:
            assert answer.status_code == 400, rule
            assert "That form has expired" in answer.text, rule


def test_every_view_is_guarded_or_listed_as_public(here: World, visitor: Browser) -> None:
    given = token(visitor)
    for method in ("GET", "POST"):
        for rule in rules(here, method):
            if rule.endpoint in PUBLIC or is_admin_s(here, rule):
                continue
            answer = visitor.http.request(
                method, address(here, rule), data={"csrf_token": given}, allow_redirects=False, timeout=10
            )
            to_login = answer.status_code in (302, 303) and "/login" in answer.headers["Location"]
            assert to_login or answer.status_code == 401, (method, rule, answer.status_code)


def test_nothing_is_listed_as_public_that_is_gone(here: World) -> None:
    assert PUBLIC.keys() <= {rule.endpoint for rule in here.app.url_map.iter_rules()}


def test_what_is_bob_s_is_not_found_by_charlie_on_any_address(here: World, bob: Person, charlie: Person) -> None:
    with here.app.app_context():
        customer = db.session.execute(select(Customer)).scalar_one()
        api_keys.mint(customer, "Bob's")
        bobs = {name: db.session.execute(query).scalar_one() for name, query in OWNED.items()}
        order = db.session.execute(select(Order)).scalar_one()
        known = {"session_id": order.session_id, "order": order.number}
        db.session.commit()
    given = token(charlie.browser)
    for rule in here.app.url_map.iter_rules():
        if is_admin_s(here, rule):
            continue
        assert rule.arguments <= OWNED.keys() | NOBODY_S | BY_KEY_ALONE, f"{rule}: whose is what it names?"
        named = {name: bobs[name] for name in rule.arguments & OWNED.keys()}
        if not named:
            continue
        for method in {"GET", "POST"} & (rule.methods or set()):
            answer = charlie.browser.http.request(
                method, address(here, rule, **named), data={"csrf_token": given}, timeout=10
            )
            assert answer.status_code == 404, (method, rule)
    for name, value in known.items():
        for path in ("/billing/success", "/billing/success/state"):
            assert charlie.browser.open(f"{path}?{name}={value}").status_code == 404
        data = {name: value, "csrf_token": given}
        assert charlie.browser.http.post(f"{here.base}/billing/success/reveal", data=data).status_code == 404


def test_every_error_of_the_api_is_a_problem_with_its_members(here: World, alice: Person) -> None:
    with here.app.app_context():
        _, key = api_keys.mint(stripe_customers.of(alice.user), "Server")
        db.session.commit()
    bearer = {"Authorization": f"Bearer {key}"}
    checkout = f"{here.base}/api/auth/stripe/checkout"
    answers = {
        401: requests.get(f"{here.base}/v1/receipt", timeout=30),
        404: requests.get(f"{here.base}/api/nowhere", timeout=30),
        405: requests.post(f"{here.base}/v1/receipt", headers=bearer, timeout=30),
        415: requests.post(checkout, data="price_id=pro", headers=bearer, timeout=30),
        400: requests.post(checkout, json={"price_id": "price_unknown"}, headers=bearer, timeout=30),
    }
    here.fail(next=100, status=500)
    answers[503] = requests.post(checkout, json={"price_id": "pro-monthly"}, headers=bearer, timeout=30)
    for status, answer in answers.items():
        assert answer.status_code == status
        assert answer.headers["Content-Type"] == "application/problem+json"
        problem = answer.json()
        assert problem["status"] == status
        assert problem["request_id"] == answer.headers["X-Request-Id"]
        assert all(isinstance(problem[name], str) and problem[name] for name in ("title", "detail", "code"))
    assert answers[400].json()["errors"]["price_id"]
    assert answers[503].headers["Retry-After"]


def test_too_many_tries_are_told_when_to_come_back(here: World, alice: Person) -> None:
    with here.app.app_context():
        _, key = api_keys.mint(stripe_customers.of(alice.user), "Server")
        db.session.commit()
    given = {"price": "price_unknown", "csrf_token": token(alice.browser)}
    bearer = {"Authorization": f"Bearer {key}"}

    def page() -> requests.Response:
        return alice.browser.http.post(f"{here.base}/billing/checkout", data=given, timeout=30)

    def api() -> requests.Response:
        path = f"{here.base}/api/auth/stripe/checkout"
        return requests.post(path, json={"price_id": "price_unknown"}, headers=bearer, timeout=30)

    for knock in (page, api):
        answers = [knock() for _ in range(11)]
        assert [answer.status_code for answer in answers] == [400] * 10 + [429]
        assert int(answers[-1].headers["Retry-After"]) > 0
    assert answers[-1].json()["code"] == "too_many_requests"


@pytest.fixture
def lines(app: Flask) -> Iterator[io.StringIO]:
    """The log's lines, as they would be written."""
    written = io.StringIO()
    formatters = [handler.formatter for handler in logging.getLogger().handlers]
    formatter = next(one for one in formatters if isinstance(one, structlog.stdlib.ProcessorFormatter))
    handler = logging.StreamHandler(written)
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)
    yield written
    logging.getLogger().removeHandler(handler)


def test_no_secret_is_logged_stored_or_shown(here: World, lines: io.StringIO, alice: Person) -> None:
    browser = alice.browser
    browser.buy("pro-monthly")
    key = browser.reveal()
    browser.receipt(key)
    here.flush()
    body = '{"id": "evt_1", "secret": "' + key + '"}'
    requests.post(f"{here.base}/api/webhooks/stripe", body, headers={"Stripe-Signature": "t=1,v1=" + "a" * 64})
    here.fail(next=4, status=500)
    browser.open("/billing")
    browser.press("Manage payment method")
    cookies = {unquote(cookie.value or "") for cookie in browser.http.cookies}
    secrets = {key, PASSWORD, CARD, CARD.replace(" ", ""), *servers.SECRETS.values(), servers.LIVE_KEY, *cookies}
    secrets |= {servers.TEST_KEY, "a" * 64, here.app.config["SECRET_KEY"]}
    logged, stored = lines.getvalue(), everything_stored(here)
    shown = " ".join(html.unescape(page.text) for page in pages(here, browser))
    assert "purchase_paid" in logged
    assert "alice@example.com" in stored
    for secret in secrets:
        assert len(secret) > 12
        assert secret not in logged, "logged"
        assert secret not in stored, "stored"
        assert secret not in shown, "shown"


def test_a_call_to_stripe_inside_a_transaction_is_refused(app: Flask) -> None:
    db.session.execute(text("SELECT 1"))
    with pytest.raises(RuntimeError, match="inside an open transaction"):
        gateway.of("live").customer("cus_1")


def test_no_address_of_the_contract_is_lost(here: World) -> None:
    adapter = here.app.url_map.bind("portal.test")
    for line in CONTRACT.strip().splitlines():
        for pair in line.split(" · "):
            method, path = pair.split()
            assert adapter.test(path, method), pair


def test_keys_stay_out_of_addresses(here: World, bob: Person) -> None:
    key = bob.browser.reveal()
    assert key not in bob.browser.page.url
    with here.app.app_context():
        assert db.session.execute(select(ApiKey.prefix)).scalar_one() != key
