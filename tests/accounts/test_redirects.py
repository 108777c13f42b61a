"""`next` leads only to paths of this portal."""

import pytest

from portal.accounts.sign_in.redirects import local_path

from .conftest import PASSWORD

BAD = [
    None,
    "",
    " ",
    "evil.example",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r\n/evil.example",
    "\t//evil.example",
    " //evil.example",
    "/ /evil.example",
    "/path\\..\\x",
    "http:evil.example",
    "http:/evil.example",
    "http://evil.example",
    "HTTPS://evil.example/billing",
    "https:///evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "mailto:a@example.com",
    "?next=/billing",
    "#top",
    "billing",
    "./billing",
    "../billing",
    "/billing\x00",
    "/billing\x7f",
    "/bill\u3000ing",
    "/\uff0fevil.example",
    "/billing\r\nSet-Cookie: a=b",
    "/" + "a" * 3000,
]
GOOD = [
    "/",
    "/billing",
    "/billing/resume?price=pro-monthly",
    "/%2f%2fevil.example",
    "/a//b",
    "/keys#new",
    "/@evil",
]


@pytest.mark.parametrize("value", BAD)
def test_anything_but_a_local_path_leads_to_the_default(value):
    assert local_path(value, "/account") == "/account"


@pytest.mark.parametrize("value", GOOD)
def test_a_local_path_is_kept(value):
    assert local_path(value, "/account") == value


def test_no_page_follows_or_shows_a_next_that_leads_elsewhere(house, alice, browser):
    browser.sign_in()
    for value in filter(None, BAD):
        for door in ("/login", "/signup"):
            assert browser.get(door, query_string={"next": value}).location == "/account", value
        page = browser.get("/account/second-factor", query_string={"next": value}).text
        assert "evil" not in page
        assert "next=" not in page
    for value in BAD[::6]:
        assert browser.post("/account/confirm", password=PASSWORD, next=value or "").location == "/account"


def test_sign_in_follows_a_local_next_only(house, alice, browser):
    assert browser.sign_in(next="//evil.example").location == "/account"
    assert browser.get("/login?next=/billing").location == "/billing"
    assert browser.get("/signup?next=https://evil.example").location == "/account"
