"""The usage page in every state that it has."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from playwright.sync_api import Page, expect
from sqlalchemy import select, update

from portal import clock
from portal.customers import suspensions
from portal.extensions import db
from portal.models import Customer, Meter, MonthlyBill, User
from portal.models.suspension import SuspensionReason
from portal.usage.events import reports, usage_events
from portal.usage.events.reports import Event
from portal.usage.monthly_run.months import Month
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
    """With usage of all meters, and the previous month's bill."""
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
        usage_events.record(customer_id, reports.read(events, now))
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


def not_on_sale(page: Page, scene: Scene) -> None:
    """The price of a meter is archived at Stripe, for as long as it takes to open the page."""
    archive(scene, Meter.live_price_id)
    page.goto(scene.url("/usage"))
    archive(scene, None)
    expect(page.get_by_text("Pay as you go is not available to new customers right now.")).to_be_visible()


def archive(scene: Scene, price_id: Any) -> None:
    with scene.here.app.app_context():
        db.session.execute(update(Meter).where(Meter.key == "api_calls").values(live_archived_id=price_id))
        db.session.commit()


PORTAL = [
    Place("usage, none", "alice", "Usage", at("/usage")),
    Place("usage, not on sale", "alice", "Usage", not_on_sale),
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
