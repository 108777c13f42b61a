"""The map of a portal's addresses, for tests of what holds on every one of them."""

from collections.abc import Iterator
from typing import Any

import requests
from werkzeug.routing import Rule

from portal.extensions import csrf
from tests.support.browsing import Browser
from tests.support.world import World


def rules(here: World, method: str) -> list[Rule]:
    """Every address that takes this method."""
    return [rule for rule in here.app.url_map.iter_rules() if method in (rule.methods or ())]


def address(here: World, rule: Rule, **values: Any) -> str:
    """Where a rule leads, with what it names filled in."""
    if not rule.arguments:
        return here.base + rule.rule
    filled = dict.fromkeys(rule.arguments, "1") | values
    return here.base + here.app.url_map.bind("portal.test").build(rule.endpoint, filled)


def is_admin_s(here: World, rule: Rule) -> bool:
    """Whether an address is the admin's: to everybody else it is not there (tests/admin)."""
    return rule.rule.startswith((here.app.extensions["settings"].admin_path, "/api/admin/"))


def is_exempt(here: World, rule: Rule) -> bool:
    """Whether a rule asks for no CSRF token: it takes a signature or an API key instead."""
    return here.app.blueprints.get(rule.endpoint.split(".")[0]) in csrf._exempt_blueprints


def token(browser: Browser) -> str:
    """A CSRF token of this browser's session."""
    browser.open("/keys" if "Sign out" in browser.open("/pricing").text else "/login")
    return next(form.fields["csrf_token"] for form in browser.forms() if "csrf_token" in form.fields)


def pages(here: World, browser: Browser) -> Iterator[requests.Response]:
    """Every page without an id that a browser gets to see."""
    for rule in rules(here, "GET"):
        if not rule.arguments:
            answer = browser.open(rule.rule)
            if answer.headers["Content-Type"].startswith("text/html"):
                yield answer
