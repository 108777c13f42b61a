"""The URL map, for tests that check every URL."""

from collections.abc import Iterator
from typing import Any

import requests
from werkzeug.routing import Rule

from portal.extensions import csrf
from tests.support.browsing import Browser
from tests.support.world import World


def rules(here: World, method: str) -> list[Rule]:
    """List every URL rule that accepts this method."""
    return [rule for rule in here.app.url_map.iter_rules() if method in (rule.methods or ())]


def address(here: World, rule: Rule, **values: Any) -> str:
    """Return the URL of a rule with its values filled in."""
    if not rule.arguments:
        return here.base + rule.rule
    filled = dict.fromkeys(rule.arguments, "1") | values
    return here.base + here.app.url_map.bind("portal.test").build(rule.endpoint, filled)


def is_admin_s(here: World, rule: Rule) -> bool:
    """Return whether a URL is one of the admin pages, which are 404 for everybody else (tests/admin)."""
    return rule.rule.startswith((here.app.extensions["settings"].admin_path, "/api/admin/"))


def is_exempt(here: World, rule: Rule) -> bool:
    """Return whether a rule needs no CSRF token, because it checks a signature or an API key."""
    return here.app.blueprints.get(rule.endpoint.split(".")[0]) in csrf._exempt_blueprints


def token(browser: Browser) -> str:
    """A CSRF token of this browser's session."""
    browser.open("/keys" if "Sign out" in browser.open("/pricing").text else "/login")
    return next(form.fields["csrf_token"] for form in browser.forms() if "csrf_token" in form.fields)


def pages(here: World, browser: Browser) -> Iterator[requests.Response]:
    """List every page without an id that a browser can open."""
    for rule in rules(here, "GET"):
        if not rule.arguments:
            answer = browser.open(rule.rule)
            if answer.headers["Content-Type"].startswith("text/html"):
                yield answer
