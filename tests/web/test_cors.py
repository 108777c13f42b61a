"""Calls from other origins: those of ALLOWED_ORIGINS alone, on the JSON API alone, never with a cookie."""

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from portal import create_app
from portal.extensions import db
from portal.settings import load

FRONT = "https://app.example.com"
ENVIRON = {"SECRET_KEY": "only-for-tests-0123456789abcdef0123456789", "API_PREFIX": "/service/v2"}


@pytest.fixture(scope="module", params=[f'["{FRONT}", "http://localhost:3000"]', "[]"], ids=["allowed", "none"])
def app(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """A portal that allows a front end's origin, and one that allows none."""
    folder = tmp_path_factory.mktemp("cors")
    given = ENVIRON | {"INSTANCE_PATH": str(folder), "ALLOWED_ORIGINS": request.param}
    app = create_app(load(given, env_file=None))
    with app.app_context():
        db.create_all()
    yield app
    with app.app_context():
        db.engine.dispose()


def allows(client: FlaskClient) -> bool:
    """Whether this portal allows any origin."""
    return bool(client.application.extensions["settings"].allowed_origins)


def preflight(client: FlaskClient, path: str, origin: str = FRONT) -> dict[str, str]:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type, x-evil",
    }
    answer = client.options(path, headers=asked)
    return {name: value for name, value in answer.headers.items() if name.startswith("Access-Control")}


@pytest.mark.parametrize("path", ["/api/credits/spend", "/service/v2/billing/checkout", "/api/auth/token"])
def test_a_preflight_is_answered_for_the_allowed_origins(client: FlaskClient, path: str) -> None:
    if not allows(client):
        assert preflight(client, path) == {}
        return
    told = preflight(client, path)
    assert told["Access-Control-Allow-Origin"] == FRONT
    assert "POST" in told["Access-Control-Allow-Methods"]
    assert told["Access-Control-Allow-Headers"] == "authorization, content-type"
    assert int(told["Access-Control-Max-Age"]) > 0
    assert "Access-Control-Allow-Credentials" not in told


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        f"{FRONT}.evil.example",
        "https://appxexample.com",
        "http://app.example.com",
        "null",
        "",
    ],
)
def test_no_other_origin_is_told_anything(client: FlaskClient, origin: str) -> None:
    assert "Access-Control-Allow-Origin" not in preflight(client, "/api/credits/spend", origin)
    answer = client.get("/service/v2/entitlements", headers={"Origin": origin})
    assert answer.status_code == 401
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    "path", ["/", "/login", "/pricing", "/healthz", "/api/webhooks/stripe", "/api/v1/billing/webhooks/stripe"]
)
def test_pages_and_webhooks_are_for_no_other_origin(client: FlaskClient, path: str) -> None:
    assert preflight(client, path) == {}


def test_an_error_can_be_read_too_and_with_it_the_headers_that_matter(client: FlaskClient) -> None:
    answer = client.get("/service/v2/entitlements", headers={"Origin": FRONT})
    assert answer.status_code == 401
    assert answer.json["code"] == "unauthorised"
    if allows(client):
        assert answer.headers["Access-Control-Allow-Origin"] == FRONT
        assert "Origin" in answer.headers["Vary"]
        assert "X-Request-Id" in answer.headers["Access-Control-Expose-Headers"]


def test_the_prefix_moves_its_calls_and_the_webhook_stays(client: FlaskClient) -> None:
    assert client.get("/service/v2/nowhere").json["code"] == "not_found"
    assert client.get("/api/v1/entitlements").status_code == 404
    assert client.post("/api/v1/billing/webhooks/stripe").status_code in (400, 503)
    paths = client.get("/api/openapi.json").json["paths"]
    assert "/service/v2/billing/checkout" in paths
    assert "/api/v1/billing/checkout" not in paths
