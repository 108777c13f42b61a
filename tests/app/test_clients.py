"""No client gets another client's response, even while pytest-flask keeps a request pushed."""

from flask.testing import FlaskClient

from tests.conftest import Person
from tests.support.browsing import Browser
from tests.support.world import World


def test_two_browsers_do_not_see_each_other(
    here: World, alice: Person, charlie: Person, visitor: Browser, client: FlaskClient
) -> None:
    """Each in turn, twice: what one of them leaves behind would answer the next."""
    for _ in range(2):
        for person in (alice, charlie):
            person.browser.open("/account")
            assert person.email in person.browser.text
            assert visitor.open("/account").url.startswith(f"{here.base}/login")
            assert "/login" in client.get("/account").headers["Location"]


def test_a_browser_that_signs_out_leaves_the_other_signed_in(alice: Person, charlie: Person) -> None:
    alice.browser.open("/account")
    alice.browser.press("Sign out")
    assert "/login" in alice.browser.open("/account").url
    charlie.browser.open("/account")
    assert charlie.email in charlie.browser.text
