"""The pages of credits in every state that they have."""

from playwright.sync_api import Page
from sqlalchemy import select

from portal.credits import ledger
from portal.extensions import db
from portal.models import Order
from tests.browser import hands
from tests.browser.places import Place, Reach, at, pressing, refused, session_id
from tests.browser.scene import Scene


def checkout(page: Page, scene: Scene) -> None:
    page.goto(scene.url("/credits"))
    hands.press(page, "Buy Basic")
    page.wait_for_url("**/c/pay/**")


def bought(page: Page, scene: Scene) -> None:
    checkout(page, scene)
    hands.pay(page, button="Pay")
    page.wait_for_url("**/credits/success?*")


def unpaid(page: Page, scene: Scene) -> None:
    checkout(page, scene)
    page.goto(scene.url(f"/credits/success?session_id={session_id(page)}"))


def then(path: str) -> Reach:
    """After a purchase that was refunded in part."""

    def reached(page: Page, scene: Scene) -> None:
        bought(page, scene)
        session = scene.here.stripe().v1.checkout.sessions.retrieve(page.url.rpartition("session_id=")[2])
        scene.here.stripe().v1.refunds.create({"payment_intent": str(session.payment_intent), "amount": 900})
        scene.here.flush()
        page.goto(scene.url(path))

    return reached


def owing(page: Page, scene: Scene) -> None:
    """In debt: all credits were spent before the payment was refunded."""
    bought(page, scene)
    session = scene.here.stripe().v1.checkout.sessions.retrieve(page.url.rpartition("session_id=")[2])
    scene.here.flush()
    with scene.here.app.app_context():
        order = db.session.execute(select(Order).filter_by(session_id=session.id)).scalar_one()
        ledger.spend(order.customer_id, 5500, f"work-{order.number}")
        db.session.commit()
        db.session.remove()
    scene.here.stripe().v1.refunds.create({"payment_intent": str(session.payment_intent)})
    scene.here.flush()
    page.goto(scene.url("/history"))


PORTAL = [
    Place("credits, none", "alice", "Credits", at("/credits")),
    Place("credits", "newcomer", "Credits", then("/credits")),
    Place(
        "credits, refused",
        "alice",
        "Credits",
        refused("Buy custom amount", at("/credits"), **{"Amount in dollars": "0"}),
    ),
    Place("credits bought", "newcomer", "Thank you. 5,500 credits were added.", bought),
    Place("credits, unpaid", "newcomer", "This order is not paid yet", unpaid),
    Place("history, none", "alice", "History", at("/history")),
    Place("history", "newcomer", "History", then("/history")),
    Place("history, owing", "newcomer", "History", owing),
    Place("history, nothing fits", "alice", "History", pressing("Apply", at("/history"), Search="nothing")),
    Place("history, refused", "alice", "History", at("/history?since=2026-02-02&until=2026-02-01")),
    Place("history, no such page", "alice", "", at("/history?before=x")),
]
