"""The OpenAPI document and its page: every JSON call, with the texts and schemas of the code."""

from typing import Any

import pytest
from flask import Flask

from portal.api.openapi import document, page
from portal.errors.responses import JSON_PATHS
from tests.support.browsing import Browser
from tests.support.world import World

OTHERS = {"/api/docs", "/metrics"}  # a page, and Prometheus's text; only their errors are JSON


@pytest.fixture(scope="module")
def described(the_world: World) -> dict[str, Any]:
    """The document as it is served."""
    found = the_world.app.test_client().get("/api/openapi.json")
    assert found.status_code == 200
    return found.get_json()


def test_every_json_route_is_in_it(the_world: World, described: dict[str, Any]) -> None:
    for rule in the_world.app.url_map.iter_rules():
        if not rule.rule.startswith(JSON_PATHS) or rule.rule in OTHERS:
            continue
        path = document.ARGUMENT.sub(r"{\2}", rule.rule)
        for method in set(document.METHODS) & (rule.methods or set()):
            assert method.lower() in described["paths"].get(path, {}), (method, path)


def test_every_call_says_what_it_is_for(described: dict[str, Any]) -> None:
    names = set()
    for methods in described["paths"].values():
        for operation in methods.values():
            assert operation["summary"]
            assert "500" in operation["responses"]
            names.add(operation["operationId"])
    assert len(names) == sum(map(len, described["paths"].values()))


def test_no_two_models_share_a_name(described: dict[str, Any]) -> None:
    """Else pydantic would name one after its module, or after its direction."""
    assert [name for name in described["components"]["schemas"] if "__" in name or "-" in name] == []


def test_the_page_tells_of_every_call(here: World, visitor: Browser, described: dict[str, Any]) -> None:
    visitor.open("/api/docs")
    for path, methods in described["paths"].items():
        for method in methods:
            assert f"{method.upper()} {path}" in visitor.text
    assert "Authorization: Bearer $KEY" in visitor.text.replace("&#34;", '"')


def test_the_examples_of_the_page_are_taken(app: Flask) -> None:
    """The page's example of a body is one that the model accepts."""
    made = document.build(app, app.extensions["settings"])
    definitions = made["components"]["schemas"]
    for one in document.operations(app):
        if one.call.body and "signature" not in one.call.by:
            body = made["paths"][one.path][one.method.lower()]["requestBody"]
            shape = body["content"]["application/json"]["schema"]
            one.call.body.model_validate(page.example(shape, definitions))
