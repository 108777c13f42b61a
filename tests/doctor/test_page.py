"""The admin page of the checks."""

from tests.conftest import Person
from tests.support.browsing import Browser
from tests.support.world import World


def test_the_admin_page_runs_the_checks_and_shows_what_is_wrong(here: World, ada: Person) -> None:
    page = ada.browser
    page.open("/admin/checks")
    assert "webhook endpoint" in page.text
    here.fail(next=1, status=401, path="/v1/prices")
    page.press("Run the checks")
    words = " ".join(page.text.split())
    assert "does not accept the key in STRIPE_SECRET_KEY" in words
    assert "Nothing can be bought." in words
    here.calm()
    page.press("Run them again")
    assert "does not accept the key" not in page.text


def test_the_page_of_checks_exists_for_staff_alone(bob: Person, visitor: Browser) -> None:
    for browser in (bob.browser, visitor):
        assert browser.open("/admin/checks").status_code == 404
