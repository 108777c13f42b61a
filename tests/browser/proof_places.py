"""The pages of links that prove an address, and of what waits for one, in every state that they have."""

from playwright.sync_api import Page

from portal import tokens
from portal.accounts.sign_in import sign_in_links
from portal.customers import owners, stripe_customers
from portal.extensions import db
from portal.keys import api_keys
from tests.browser.places import Place, Reach, at, refused
from tests.browser.scene import Scene
from tests.conftest import person


def account(scene: Scene, *keys: str) -> str:
    """Return the address of a new account that has not verified it, with a key of each of these names."""
    someone = person(scene.here, scene.name("somebody.with.a.rather.long.name"))
    with scene.here.app.app_context():
        for name in keys:
            api_keys.mint(stripe_customers.of(someone.user), name)
        db.session.commit()
        db.session.remove()
    return someone.email


def waiting(scene: Scene, email: str, *plans: str) -> str:
    """Buy each of these plans by a Payment Link, and reveal its key; it waits if the address is not verified."""
    for plan in plans:
        command = ["payment-link", "create", "--tier", plan]
        buyer = scene.browser()
        buyer.open(scene.here.app.test_cli_runner().invoke(args=command).output.strip())
        buyer.pay(email=email)
        buyer.reveal()
    scene.here.flush()
    return email


def followed(purpose: str, email: str, scene: Scene, page: Page, query: str = "") -> None:
    """Open the link of this purpose that is mailed to an address."""
    path = {"verify": "/verify/", "claim": "/claim/", "reset": "/password/reset/"}[purpose]
    with scene.here.app.app_context():
        found, waits = owners.both(email)
        user = waits[-1] if purpose == "claim" else found
        assert user is not None
        raw = tokens.mint(user, purpose)
        db.session.commit()
        db.session.remove()
    page.goto(scene.url(path + raw + query))


def linked(purpose: str, *plans: str, keys: tuple[str, ...] = (), query: str = "") -> Reach:
    """Follow such a link to an account with these keys and an unverified address, for which these plans wait. For
    `claim` there is no account.
    """

    def reached(page: Page, scene: Scene) -> None:
        email = f"{scene.name('eve')}@example.com" if purpose == "claim" else account(scene, *keys)
        followed(purpose, waiting(scene, email, *plans), scene, page, query)

    return reached


def answered(reach: Reach, *answers: str) -> Reach:
    """Choose these answers wherever they are offered."""

    def reached(page: Page, scene: Scene) -> None:
        reach(page, scene)
        for answer in answers:
            for choice in page.get_by_label(answer, exact=True).all():
                choice.check()

    return reached


def of_a_proven_account(page: Page, scene: Scene) -> None:
    email = waiting(scene, account(scene), "pro")
    with scene.here.app.app_context():
        raw = tokens.mint(owners.waiting(email)[0], "claim")
        db.session.commit()
        db.session.remove()
    scene.prove(email)
    page.goto(scene.url(f"/claim/{raw}"))


def mine(page: Page, scene: Scene) -> str:
    """Return the address of whoever is signed in."""
    page.goto(scene.url("/account"))
    return str(page.locator(".menu-panel p").text_content()).removeprefix("Signed in as ").strip()


def by_the_maker(*plans: str) -> Reach:
    def reached(page: Page, scene: Scene) -> None:
        followed("verify", waiting(scene, mine(page, scene), *plans), scene, page)

    return reached


def waits_on_the_account_page(page: Page, scene: Scene) -> None:
    scene.prove(waiting(scene, mine(page, scene), "pro"))
    page.goto(scene.url("/account"))


def purchases(page: Page, scene: Scene) -> None:
    waits_on_the_account_page(page, scene)
    page.get_by_role("link", name="Review purchases").click()


def sign_in_link(page: Page, scene: Scene) -> None:
    with scene.here.app.app_context():
        customer = stripe_customers.of(scene.people["bob"].user)
        _, raw = sign_in_links.make(customer.id, "/billing", None)
        db.session.commit()
        db.session.remove()
    page.goto(scene.url(f"/sign-in/{raw}"))


KEYS = ("Website", "Nightly export")
VERIFY, PASSWORD, CLAIM = "Verify your email", "Choose a new password", "Claim your account"

PORTAL = [
    Place("verify by the maker", "newcomer", VERIFY, by_the_maker()),
    Place("verify by the maker, purchases", "newcomer", VERIFY, by_the_maker("pro")),
    Place("verify by password", "visitor", VERIFY, linked("verify")),
    Place(
        "verify by password, refused",
        "visitor",
        VERIFY,
        refused("Verify email", answered(linked("verify", "pro"), "Mine", "Keep"), Password="wrong"),
    ),
    Place("verify, fresh start", "visitor", PASSWORD, linked("verify", keys=KEYS, query="?anew=1")),
    Place(
        "reset, fresh start, refused",
        "visitor",
        PASSWORD,
        refused(
            "Save password",
            answered(linked("reset", "pro", keys=KEYS), "Mine"),
            **{"New password": "not too short"},
        ),
    ),
    Place("claim, one", "visitor", CLAIM, linked("claim", "pro")),
    Place("claim, several", "visitor", CLAIM, linked("claim", "pro", "starter")),
    Place(
        "claim, several, refused",
        "visitor",
        CLAIM,
        refused(
            "Claim account",
            answered(linked("claim", "pro", "starter"), "Mine"),
            **{"New password": "not too short"},
        ),
    ),
    Place("claim, sign in", "visitor", "Sign in to continue", of_a_proven_account),
    Place("account, not verified", "newcomer", "Account", at("/account")),
    Place("account, purchases wait", "newcomer", "Account", waits_on_the_account_page),
    Place("purchases that wait", "newcomer", "Purchases made with your email", purchases),
    Place("sign-in link", "visitor", "Sign in", sign_in_link),
]
