"""Sign-in links of the operator's service: single-use, short-lived, and never for staff."""

from datetime import timedelta

import pytest
import requests
from sqlalchemy import select, update

from portal import clock
from portal.accounts.sign_in import sign_in_links
from portal.customers import stripe_customers
from portal.extensions import db
from portal.models import AuditEntry, SignInLink, User
from tests.conftest import Person, person
from tests.support.browsing import Browser
from tests.support.looking import count, everything_stored
from tests.support.operators import ask, operator_key
from tests.support.world import World

pytestmark = pytest.mark.both_databases
PATH = "/api/v1/sign-in-links"


@pytest.fixture
def service(here: World) -> str:
    """The product's operator key."""
    return operator_key(here, "sign_in_links")


def customer_id(here: World, someone: Person, mode: str = "live") -> str:
    with here.app.app_context():
        found = str(stripe_customers.of(someone.user, mode).id)
        db.session.commit()
        db.session.remove()
    return found


def made(here: World, service: str, someone: Person, **more: str) -> requests.Response:
    return ask(here, "POST", PATH, service, json={"customer": customer_id(here, someone)} | more)


def link(here: World, service: str, someone: Person, **more: str) -> str:
    answer = made(here, service, someone, **more)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["url"])


def change(here: World, model: type, **values: object) -> None:
    with here.app.app_context():
        db.session.execute(update(model).values(**values))
        db.session.commit()


def test_a_link_signs_in_once_and_leads_on(here: World, service: str, bob: Person, visitor: Browser) -> None:
    url = link(here, service, bob, next="/billing")
    assert url.startswith(f"{here.base}/sign-in/")
    for _ in range(3):  # as a scanner does
        page = visitor.open(url)
        assert page.status_code == 200
        assert (page.headers["Referrer-Policy"], page.headers["Cache-Control"]) == ("no-referrer", "no-store")
    assert f"Continue as {bob.email}." in visitor.text
    assert visitor.press("Continue").url == f"{here.base}/billing"
    assert bob.email in visitor.open("/account").text
    again = Browser(here)
    assert again.open(url).status_code == 410
    assert "This link no longer works" in again.text
    assert url.rsplit("/", 1)[1] not in everything_stored(here)
    with here.app.app_context():
        written = select(AuditEntry).where(AuditEntry.action.startswith("sign_in_link.")).order_by(AuditEntry.id)
        entries = list(db.session.execute(written).scalars())
        assert [(one.action, one.actor, one.user_id) for one in entries] == [
            ("sign_in_link.made", "operator", bob.user_id),
            ("sign_in_link.used", "user", bob.user_id),
        ]


def test_two_presses_at_once_sign_in_once(here: World, service: str, bob: Person) -> None:
    url = link(here, service, bob)
    browsers = [Browser(here), Browser(here)]
    for browser in browsers:
        browser.open(url)
    forms = [browser.form("Continue") for browser in browsers]
    answers = [
        browser.http.post(form.action, form.fields, allow_redirects=False).status_code
        for browser, form in zip(browsers, forms, strict=True)
    ]
    assert answers == [303, 410]


def test_a_link_expires_after_five_minutes(here: World, service: str, bob: Person, visitor: Browser) -> None:
    url = link(here, service, bob)
    visitor.open(url)
    change(here, SignInLink, expires_at=clock.now() - timedelta(seconds=1))
    assert visitor.press("Continue").status_code == 410
    with here.app.app_context():
        lasted = db.session.execute(select(SignInLink)).scalar_one()
        assert lasted.created_at < lasted.expires_at + timedelta(minutes=5)
        db.session.rollback()
        assert sign_in_links.sweep() == 0
    change(here, SignInLink, expires_at=clock.now() - timedelta(days=2))
    with here.app.app_context():
        assert sign_in_links.sweep() == 1


@pytest.mark.parametrize("role", ["support", "admin"])
def test_staff_are_never_signed_in_by_a_link(here: World, service: str, bob: Person, role: str) -> None:
    staff = person(here, "sue", role=role, signed_in=False)
    answer = made(here, service, staff)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    url = link(here, service, bob)
    change(here, User, role=role)  # after the link was made
    assert Browser(here).open(url).status_code == 410


def test_only_a_living_claimed_account_gets_a_link(here: World, service: str, bob: Person) -> None:
    mine = customer_id(here, bob)
    change(here, User, password_hash=None)
    assert ask(here, "POST", PATH, service, json={"customer": mine}).status_code == 409
    change(here, User, deleted_at=clock.now())
    for wanted in (mine, "999999", "1" * 18):
        answer = ask(here, "POST", PATH, service, json={"customer": wanted})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert count(here, SignInLink) == 0


@pytest.mark.parametrize(
    "bad", ["https://evil.example", "//evil.example", "/\\evil.example", "billing", "", "/\t/x"]
)
def test_a_link_leads_to_the_portal_alone(here: World, service: str, bob: Person, bad: str) -> None:
    answer = made(here, service, bob, next=bad)
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["next"])


def test_the_second_factor_and_the_password_are_asked_for_as_ever(
    here: World, service: str, bob: Person, visitor: Browser
) -> None:
    visitor.open(link(here, service, bob))
    visitor.press("Continue")
    assert visitor.open("/account/second-factor/app").url.startswith(f"{here.base}/account/confirm")
    change(here, User, second_factor_at=clock.now())
    other = Browser(here)
    other.open(link(here, service, bob, next="/billing"))
    other.press("Continue")
    assert other.page.url == f"{here.base}/login/code?next=/billing"
    assert other.open("/account").url.startswith(f"{here.base}/login")


def test_a_link_proves_no_email(here: World, service: str, bob: Person, visitor: Browser) -> None:
    visitor.open(link(here, service, bob))
    visitor.press("Continue")
    with here.app.app_context():
        assert db.session.get_one(User, bob.user_id).verified_at is None


def test_a_key_without_the_scope_makes_no_link(here: World, bob: Person) -> None:
    other = operator_key(here, "usage:report", "usage:void", "customers:read")
    answer = made(here, other, bob)
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
