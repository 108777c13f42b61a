"""The pages of an account in every state that they have."""

import pyotp
from playwright.sync_api import Page

from portal import clock
from portal.accounts.email_change import changes
from portal.extensions import db
from tests.browser import hands
from tests.browser.places import Place, Reach, at, mailed, pressing, refused
from tests.browser.scene import Scene
from tests.conftest import PASSWORD

FACTOR = "/account/second-factor"


def app(page: Page, scene: Scene) -> pyotp.TOTP:
    """Open the page that shows an authenticator app's secret, and return that app."""
    pressing("Set up", at(FACTOR))(page, scene)
    return pyotp.TOTP(page.locator(".copyable").inner_text())


def recovery_codes(page: Page, scene: Scene) -> pyotp.TOTP:
    shown = app(page, scene)
    page.get_by_label("Code").fill(shown.at(clock.now()))
    hands.press(page, "Turn on")
    page.get_by_role("heading", name="Your recovery codes").wait_for()
    return shown


def with_factor(reach: Reach) -> Reach:
    """Go to the place as a user with a second factor."""

    def reached(page: Page, scene: Scene) -> None:
        recovery_codes(page, scene)
        reach(page, scene)

    return reached


def second_step(page: Page, scene: Scene) -> None:
    """Sign out, and enter the password again."""
    email = str(page.locator(".menu-panel p").text_content()).removeprefix("Signed in as ").strip()
    page.context.clear_cookies()
    page.goto(scene.url("/login"))
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    hands.press(page, "Sign in")


def mailed_change(purpose: str, path: str) -> Reach:
    """Follow the mailed link of a change that alice requested."""

    def reached(page: Page, scene: Scene) -> None:
        with scene.here.app.app_context():
            changes.request(scene.people["alice"].user, "alice@new.example.com")
            db.session.commit()
            db.session.remove()
        page.goto(scene.url(path + scene.token(purpose)))

    return reached


PORTAL = [
    Place("verified", "alice", "Account", pressing("Verify email", mailed("verify", "/verify/"))),
    Place("account", "alice", "Account", at("/account")),
    Place("account with a plan", "bob", "Account", at("/account")),
    Place("second factor, off", "alice", "Second factor", at(FACTOR)),
    Place("second factor, app", "newcomer", "Set up your app", app),
    Place("second factor, refused", "newcomer", "Set up your app", refused("Turn on", app, Code="000000")),
    Place("recovery codes", "newcomer", "Your recovery codes", recovery_codes),
    Place("second factor, on", "newcomer", "Second factor", with_factor(at(FACTOR))),
    Place(
        "second factor, turn off",
        "newcomer",
        "Turn off the second factor?",
        with_factor(refused("Turn off", at(f"{FACTOR}/off"), Password="wrong", Code="000000")),
    ),
    Place(
        "sign-in, code refused",
        "newcomer",
        "Enter your code",
        with_factor(refused("Sign in", second_step, Code="000000")),
    ),
    Place(
        "password asked again",
        "alice",
        "Confirm that it is you",
        refused("Continue", at("/account/confirm"), Password="wrong"),
    ),
    Place("billing details", "alice", "Billing details", at("/account/billing-details")),
    Place(
        "billing details, refused",
        "alice",
        "Billing details",
        refused("Save", at("/account/billing-details"), City="Berlin"),
    ),
    Place("profile", "alice", "Name and time zone", at("/account/profile")),
    Place(
        "password, refused",
        "newcomer",
        "Change your password",
        refused(
            "Change password", at("/account/password"), **{"Current password": PASSWORD, "New password": "short"}
        ),
    ),
    Place(
        "email, waiting",
        "newcomer",
        "Change your email address",
        pressing("Send the link", at("/account/email"), Email="somebody.with.a.rather.long.name@example.org"),
    ),
    Place(
        "email, old address", "visitor", "Change your email", mailed_change("email_old", "/account/email/approve/")
    ),
    Place(
        "email, new address",
        "alice",
        "Confirm your email",
        mailed_change("email_new", "/account/email/confirm/"),
    ),
    Place(
        "email, new address, signed out",
        "visitor",
        "Confirm your email",
        mailed_change("email_new", "/account/email/confirm/"),
    ),
    Place(
        "delete account",
        "bob",
        "Delete your account?",
        refused("Delete account", at("/account/delete"), Password="x"),
    ),
]
