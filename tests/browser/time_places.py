"""The pages as time changes them: what is free at first, what ends soon, what waits to be confirmed."""

from datetime import timedelta

from playwright.sync_api import Page
from sqlalchemy import update

from portal import clock
from portal.extensions import db
from portal.models import Invoice, Plan
from tests.browser.places import Place, success
from tests.browser.scene import Scene


def offer_trials(scene: Scene, days: int) -> None:
    with scene.here.app.app_context():
        db.session.execute(update(Plan).where(Plan.tier.in_(("starter", "pro"))).values(trial_days=days))
        db.session.commit()
        db.session.remove()


def pricing_with_trials(page: Page, scene: Scene) -> None:
    offer_trials(scene, 14)
    page.goto(scene.url("/pricing"))
    offer_trials(scene, 0)


def trial_ending(page: Page, scene: Scene) -> None:
    success(page, scene)
    scene.here.flush()
    scene.let_the_last_subscription(status="trialing", trial_end=clock.now() + timedelta(days=2))
    page.goto(scene.url("/billing"))


def to_be_confirmed(page: Page, scene: Scene) -> None:
    success(page, scene)
    scene.here.flush()
    scene.let_the_last_subscription(status="past_due", past_due_since=clock.now() - timedelta(days=2))
    with scene.here.app.app_context():
        db.session.execute(update(Invoice).values(status="open", needs_action=True))
        db.session.commit()
        db.session.remove()
    page.goto(scene.url("/billing"))


PORTAL = [
    Place("pricing, with trials", "visitor", "Choose your plan", pricing_with_trials),
    Place("billing, trial ending", "newcomer", "Billing", trial_ending),
    Place("billing, to be confirmed", "newcomer", "Billing", to_be_confirmed),
]
