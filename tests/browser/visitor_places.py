"""The pages that everybody sees: what is sold, signing up and in, mailed links, and mistakes."""

from playwright.sync_api import Page

from tests.browser.places import Place, at, mailed, pressing, refused
from tests.browser.scene import Scene, post


def forged(page: Page, scene: Scene) -> None:
    page.goto(scene.url("/login"))
    post(page, "/login")
    page.wait_for_load_state()


PORTAL = [
    Place("pricing", "visitor", "Choose your plan", at("/pricing")),
    Place("pricing by year", "visitor", "Choose your plan", at("/pricing?cycle=year")),
    Place("sign-up", "visitor", "Create your account", at("/signup")),
    Place("sign-up in a purchase", "visitor", "Create your account", pressing("Choose Pro", at("/pricing"))),
    Place(
        "sign-up refused",
        "visitor",
        "Create your account",
        refused("Create account", at("/signup"), Email="a..b@example.com", Password="short"),
    ),
    Place("sign-in", "visitor", "Sign in", at("/login")),
    Place("sign-in needed", "visitor", "Sign in", at("/billing")),
    Place(
        "sign-in refused",
        "visitor",
        "Sign in",
        refused("Sign in", at("/login"), Email="alice@example.com", Password="wrong"),
    ),
    Place("forgot", "visitor", "Forgot your password?", at("/password/forgot")),
    Place(
        "forgot, mailed",
        "visitor",
        "Check your email",
        pressing("Send the link", at("/password/forgot"), Email="alice@example.com"),
    ),
    Place("reset", "visitor", "Choose a new password", mailed("reset", "/password/reset/")),
    Place(
        "reset refused",
        "visitor",
        "Choose a new password",
        refused("Save password", mailed("reset", "/password/reset/"), Password="short"),
    ),
    Place("claim", "visitor", "Claim your account", mailed("claim", "/claim/")),
    Place("verify", "visitor", "Verify your email", mailed("verify", "/verify/")),
    Place("link spent", "visitor", "This link no longer works", at("/verify/nonsense")),
    Place("404", "visitor", "", at("/nowhere")),
    Place("400", "alice", "", at("/pricing?cycle=week")),
    Place("400 forged", "visitor", "", forged),
    Place("pricing, signed in", "alice", "Choose your plan", at("/pricing")),
    Place("pricing with a plan", "bob", "Choose your plan", at("/pricing")),
]
