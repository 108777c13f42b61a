"""The usage page in every state that it has."""

from datetime import timedelta
from decimal import Decimal

from playwright.sync_api import Page
from sqlalchemy import select

from portal import clock
from portal.customers import suspensions
from portal.extensions import db
from portal.models import Customer, MonthlyBill, User
from portal.models.suspension import SuspensionReason
from portal.usage import batches, metering
from portal.usage.batches import Event
from portal.usage.months import Month
from tests.browser import hands
from tests.browser.places import Place, at, refused
from tests.browser.scene import Scene


def started(page: Page, scene: Scene) -> None:
    page.goto(scene.url("/usage"))
    hands.press(page, "Start pay as you go")
    hands.pay(page, button="Save card")
    page.wait_for_url("**/usage")


def customer_of(page: Page) -> int:
    """The id of the one who is signed in. Inside an app context."""
    email = str(page.locator(".menu-panel p").text_content()).removeprefix("Signed in as ")
    query = select(Customer.id).join(User, User.id == Customer.user_id).where(User.email == email)
    return int(db.session.execute(query).scalar_one())


def used(page: Page, scene: Scene) -> None:
    """With usage of all meters and the bill of the month before."""
    started(page, scene)
    now = clock.now()
    with scene.here.app.app_context():
        customer_id = customer_of(page)
        meters = ("cpu_hour", "gpu_hour", "storage_gb_month", "api_calls")
        events = [
            Event(
                meter=meter,
                quantity=Decimal(7 * number % 11) * (1000 if meter == "api_calls" else 1),
                identifier=f"{meter}-{number}",
                timestamp=(now - timedelta(hours=20 * number)).isoformat(),
            )
            for meter in meters
            for number in range(20)
        ]
        metering.record(customer_id, batches.read(events, now))
        bill = {"mode": "live", "amount": 1234, "currency": "usd", "created_at": now, "credits": 100}
        month = Month.of(now).previous
        for state in ("paid", "unpaid"):
            db.session.add(MonthlyBill(customer_id=customer_id, month=month.number, state=state, **bill))
            month = month.previous
        db.session.commit()
    page.goto(scene.url("/usage"))


def limited(page: Page, scene: Scene) -> None:
    used(page, scene)
    page.get_by_label("At most each month").fill("$250")
    page.get_by_label("Stop usage at the limit").check()
    hands.press(page, "Save limit")


def suspended(page: Page, scene: Scene) -> None:
    started(page, scene)
    with scene.here.app.app_context():
        suspensions.add(customer_of(page), SuspensionReason.NO_PAYMENT_METHOD, "cus_1")
        db.session.commit()
    page.goto(scene.url("/usage"))


PORTAL = [
    Place("usage, none", "alice", "Usage", at("/usage")),
    Place("usage, started", "newcomer", "Usage", started),
    Place("usage", "newcomer", "Usage", used),
    Place("usage, limited", "newcomer", "Usage", limited),
    Place("usage, suspended", "newcomer", "Usage", suspended),
    Place(
        "usage, refused",
        "alice",
        "Usage",
        refused("Save limit", at("/usage"), **{"At most each month": "much"}),
    ),
    Place("usage, no such range", "alice", "Usage", at("/usage.csv?since=2026-02-02&until=2026-02-01")),
]
