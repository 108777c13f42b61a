"""The admin's pages in the states that they have."""

import re
from collections.abc import Callable
from datetime import timedelta

from playwright.sync_api import Page, expect
from sqlalchemy import select

from portal import clock
from portal.enums import Mode
from portal.extensions import db
from portal.figures import daily
from portal.models import OpenCall, Payment, RefundRequest
from tests.browser import hands
from tests.browser.places import Place, Reach, at, refused
from tests.browser.scene import Scene

NOT_FOUND = "Page not found"


def of_bob(path: str) -> Reach:
    """A page about Bob."""
    return lambda page, scene: page.goto(scene.url(path.format(scene.people["bob"].user_id)))


def checked(page: Page, scene: Scene) -> None:
    """After the checks were run with a key that Stripe refuses once."""
    page.goto(scene.url("/admin/checks"))
    scene.here.fail(next=1, status=401, path="/v1/prices")
    hands.press(page, "Run the checks")


def bought(item: str, card: str = "success", on_clock: bool = False) -> Reach:
    """The page of a test purchase, once its events have arrived."""

    def reached(page: Page, scene: Scene) -> None:
        of_bob("/admin/test-billing/{}")(page, scene)
        if page.get_by_role("button", name="Reset test data").count():  # the place before left something
            hands.press(page, "Reset test data")
        page.get_by_label("What").select_option(item)
        page.get_by_label("Card").select_option(card)
        if on_clock:
            page.get_by_label("On a test clock").check()
        hands.press(page, "Create test purchase")
        page.wait_for_url("**/purchases/PO-*")
        scene.here.flush()
        page.reload()
        expect(page.locator(".timeline")).to_contain_text("Processed")

    return reached


def then(reach: Reach, *buttons: str) -> Reach:
    """Press these buttons in turn, and wait for the events of each."""

    def reached(page: Page, scene: Scene) -> None:
        reach(page, scene)
        for button in buttons:
            with page.expect_navigation():
                hands.press(page, button)
            scene.here.flush()
        page.reload()

    return reached


def customer_after(reach: Reach) -> Reach:
    """Bob's page in both modes, after these steps."""

    def reached(page: Page, scene: Scene) -> None:
        reach(page, scene)
        of_bob("/admin/customers/{}")(page, scene)

    return reached


PRO = bought("plan:pro-monthly", on_clock=True)
UNPAID = then(bought("plan:pro-monthly", "fails_later", on_clock=True), "Next renewal")


def an_event(more: Callable[[Page], object] = lambda page: None) -> Reach:
    """The page of Bob's newest subscription event."""

    def reached(page: Page, scene: Scene) -> None:
        page.goto(scene.url("/admin/events?type=customer.subscription.created&mode=live"))
        page.locator("tbody a").first.click()
        more(page)

    return reached


def sent(page: Page, scene: Scene) -> None:
    bought("credits:basic")(page, scene)
    of_bob("/admin/test-billing/{}")(page, scene)
    hands.press(page, "Send test event")
    expect(page.locator("#answer")).to_contain_text("Our endpoint answered")


def refund(page: Page, scene: Scene) -> None:
    of_bob("/admin/customers/{}")(page, scene)
    page.get_by_role("link", name=re.compile("^Refund")).first.click()


SOME_CREDITS = {"Credits": "5", "Good until": "2020-01-01", "Reason": "Sorry"}


def suspending(page: Page, scene: Scene) -> None:
    of_bob("/admin/customers/{}")(page, scene)
    page.locator("summary", has_text="Suspend").first.click()
    page.locator("summary", has_text="Revoke").first.click()


def unplaced(path: str) -> Reach:
    """With a payment without an order: from a Payment Link made by hand, with a price of no plan."""

    def reached(page: Page, scene: Scene) -> None:
        stripe = scene.here.stripe().v1
        price = stripe.prices.create(
            {
                "currency": "usd",
                "unit_amount": 2900,
                "recurring": {"interval": "month"},
                "product_data": {"name": "Pro of before"},
            }
        )
        back = f"{scene.here.base}/billing/success?session_id={{CHECKOUT_SESSION_ID}}"
        link = stripe.payment_links.create(
            {
                "line_items": [{"price": price.id, "quantity": 1}],
                "after_completion": {"type": "redirect", "redirect": {"url": back}},
            }
        )
        buyer = scene.browser()
        buyer.open(link.url)
        buyer.pay(email=f"{scene.name('eve')}@example.com")
        scene.here.flush()
        page.goto(scene.url(path) if path else buyer.page.url)

    return reached


def figures(page: Page, scene: Scene) -> None:
    """A year in two currencies."""
    with scene.here.app.app_context():
        today = clock.now().date()
        for number in range(12):
            day = today - timedelta(days=30 * number)
            daily.add(Mode.LIVE, day, "mrr.new", "usd", 4999 * (12 - number))
            daily.add(Mode.LIVE, day, "subscriptions.new", "usd", 12 - number)
            daily.add(Mode.LIVE, day, "plans.free>pro", "usd", 12 - number)
        daily.add(Mode.LIVE, today, "mrr.churn", "usd", -1999)
        daily.add(Mode.LIVE, today, "mrr.new", "jpy", 980)
        db.session.commit()
    page.goto(scene.url("/admin/figures"))


def unclear(page: Page, scene: Scene) -> None:
    """With a refund whose outcome at Stripe has been unknown for a day."""
    with scene.here.app.app_context():
        payment = db.session.execute(select(Payment).order_by(Payment.id)).scalars().first()
        assert payment is not None
        now = clock.now()
        of_it = {"mode": "live", "customer_id": payment.customer_id}
        order = RefundRequest(
            **of_it,
            payment_intent=payment.stripe_id,
            amount=500,
            currency=payment.currency,
            nonce=scene.name("form"),
            state="unclear",
            created_at=now,
        )
        db.session.add(order)
        db.session.flush()
        call = {"claim": "refund_orders", "claim_id": order.id, "reason": "failed"}
        asked = dict.fromkeys(("called_at", "opened_at", "unclear_at"), now)
        db.session.add(OpenCall(**of_it, **call, **asked))
        db.session.commit()
        db.session.remove()
    page.goto(scene.url("/admin"))


PORTAL = [
    Place("payment without an order", "visitor", "Your payment arrived", unplaced("")),
    Place("admin, payment without an order", "ada", "Overview", unplaced("/admin")),
    Place("admin, events parked", "ada", "Events", unplaced("/admin/events")),
    Place("admin, unclear call", "ada", "Overview", unclear),
    Place(
        "admin, void refused",
        "ada",
        "bob@example.com",
        refused("Void usage", of_bob("/admin/customers/{}"), Identifier="never-was", Reason="Reported twice"),
    ),
    Place("admin", "ada", "Overview", at("/admin")),
    Place("admin, no figures", "ada", "Figures", at("/admin/figures?mode=test")),
    Place("admin, figures", "ada", "Figures", figures),
    Place("admin, checks", "ada", "Checks", at("/admin/checks")),
    Place("admin, checks run", "ada", "Checks", checked),
    Place("admin, absent", "bob", NOT_FOUND, at("/admin/events")),
    Place("admin, customers", "ada", "Customers", at("/admin/customers")),
    Place("admin, nobody fits", "ada", "Customers", at("/admin/customers?q=cus_nobody")),
    Place("admin, customer", "ada", "bob@example.com", of_bob("/admin/customers/{}")),
    Place(
        "admin, grant refused",
        "ada",
        "bob@example.com",
        refused("Give credits", of_bob("/admin/customers/{}"), **SOME_CREDITS),
    ),
    Place("admin, suspending", "ada", "bob@example.com", suspending),
    Place("admin, refund", "ada", "Refund a payment", refund),
    Place("admin, support's customer", "sue", "bob@example.com", of_bob("/admin/customers/{}")),
    Place("admin, test billing", "ada", "Test billing", at("/admin/test-billing")),
    Place("admin, nothing tried", "ada", "Test billing", of_bob("/admin/test-billing/{}")),
    Place("admin, credits tried", "ada", "Test purchase PO-", bought("credits:basic")),
    Place("admin, plan tried", "ada", "Test purchase PO-", PRO),
    Place("admin, plan declined", "ada", "Test purchase PO-", bought("plan:pro-monthly", "decline")),
    Place("admin, plan ending", "ada", "Test purchase PO-", then(PRO, "Cancel at period end")),
    Place("admin, plan unpaid", "ada", "Test purchase PO-", UNPAID),
    Place("admin, plan ended", "ada", "bob@example.com", customer_after(then(UNPAID, "+1 month"))),
    Place("admin, credits refunded", "ada", "Test purchase PO-", then(bought("credits:basic"), "Refund")),
    Place("admin, test data", "ada", "Test billing", sent),
    Place("admin, events", "ada", "Events", at("/admin/events")),
    Place("admin, no event fits", "ada", "Events", at("/admin/events?type=none")),
    Place("admin, events refused", "ada", "Events", at("/admin/events?since=2026-02-02&until=2026-02-01")),
    Place("admin, event", "ada", "customer.subscription.created", an_event()),
    Place(
        "admin, dry run",
        "ada",
        "customer.subscription.created",
        an_event(lambda page: hands.press(page, "Dry run")),
    ),
    Place(
        "admin, payload",
        "ada",
        "customer.subscription.created",
        an_event(lambda page: hands.press(page, "Show all of it")),
    ),
    Place("admin, jobs", "ada", "Jobs", at("/admin/jobs")),
    Place("admin, audit log", "ada", "Audit log", at("/admin/audit")),
    Place("admin, audit log, nothing fits", "ada", "Audit log", at("/admin/audit?action=never.was")),
]
