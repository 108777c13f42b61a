"""The pages of keys in every state that they have, and the page of the JSON API."""

import re

from playwright.sync_api import Page

from tests.browser.places import Place, at, pressing, refused
from tests.browser.scene import Scene


def odd_terms(page: Page, scene: Scene) -> None:
    page.goto(scene.url("/keys"))
    page.get_by_text("What it may do").click()
    page.get_by_label("Last day").fill("1999-01-01")
    refused("Create key", lambda page, scene: None, Name="Website")(page, scene)


def rotate(page: Page, scene: Scene) -> None:
    page.goto(scene.url("/keys"))
    page.get_by_role("link", name=re.compile("^Rotate")).first.click()


def rotated(page: Page, scene: Scene) -> None:
    pressing("Create key", at("/keys"), Name="Website")(page, scene)
    pressing("Rotate", rotate)(page, scene)
    page.goto(scene.url("/keys"))


def api(page: Page, scene: Scene) -> None:
    """With one call's section open."""
    page.goto(scene.url("/api/docs"))
    page.get_by_text("POST /api/credits/spend").click()


def revoke(page: Page, scene: Scene) -> None:
    page.goto(scene.url("/keys"))
    page.get_by_role("link", name="Revoke").first.click()


PORTAL = [
    Place("404 of somebody else", "alice", "", at("/keys/1/revoke")),
    Place("keys, none", "alice", "API keys", at("/keys")),
    Place("keys, refused", "alice", "API keys", refused("Create key", at("/keys"), Name=" ")),
    Place("keys", "bob", "API keys", at("/keys")),
    Place("key created", "newcomer", "Your new API key", pressing("Create key", at("/keys"), Name="Website")),
    Place("key to revoke", "bob", "Revoke “", revoke),
    Place("keys, odd terms", "alice", "API keys", odd_terms),
    Place("key to rotate", "bob", "Rotate “", rotate),
    Place("keys, one rotated", "newcomer", "API keys", rotated),
    Place("API", "visitor", "API", api),
]
