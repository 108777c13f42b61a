"""A payment that arrives here without an order is reported to the buyer and the admins, and can be fixed."""

from datetime import timedelta
from email import message_from_bytes, policy

import pytest
from sqlalchemy import select

from portal import clock, mail
from portal.extensions import db
from portal.models import Order, OutboxMail, StripeEvent, Subscription, UnplacedPayment
from portal.orders import unplaced_payments
from portal.webhooks import replays, statistics
from tests.conftest import Person
from tests.support import browsing
from tests.support.world import World


def unmapped_link(here: World, returns: bool = True) -> tuple[str, str]:
    """A link made by hand for a price without a tier: its address, and the price."""
    stripe = here.stripe().v1
    price = stripe.prices.create(
        {
            "currency": "usd",
            "unit_amount": 2900,
            "recurring": {"interval": "month"},
            "product_data": {"name": "Pro of before"},
        }
    )
    params = {"line_items": [{"price": price.id, "quantity": 1}]}
    if returns:
        url = f"{here.base}/billing/success?session_id={{CHECKOUT_SESSION_ID}}"
        params["after_completion"] = {"type": "redirect", "redirect": {"url": url}}
    return stripe.payment_links.create(params).url, price.id


def pay(browser: browsing.Browser, link: str, *, follow: bool) -> None:
    browser.open(link)
    browser.pay(email="eve@example.com", follow=follow)


def mails(here: World) -> list[tuple[str, str]]:
    """Template and address of the mails about such payments."""
    with here.app.app_context():
        query = select(OutboxMail).where(OutboxMail.template.startswith("payment_unplaced"))
        found = [(row.template, row.to or row.user.email) for row in db.session.execute(query).scalars()]
        db.session.rollback()
    return sorted(found)


BOTH = [("payment_unplaced", "eve@example.com"), ("payment_unplaced_admin", "ada@example.com")]


@pytest.mark.both_databases
def test_the_webhook_tells_the_buyer_and_the_admins_once_and_names_the_line(
    here: World, visitor: browsing.Browser, ada: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    link, price = unmapped_link(here)
    pay(visitor, link, follow=False)
    here.flush()
    assert mails(here) == BOTH
    with here.app.app_context():
        event = db.session.execute(select(StripeEvent).filter_by(type="checkout.session.completed")).scalar_one()
        assert event.state == "parked"
        assert price in (event.error or "")
        replays.replay(event)
        assert mails(here) == BOTH
        mail.send_due()
    folder = here.app.extensions["settings"].instance_path / "outbox"
    texts = [
        message_from_bytes(path.read_bytes(), policy=policy.default).get_body(("plain",)).get_content()
        for path in folder.glob("unplaced-*")
    ]
    assert any(f"STRIPE_PRICE_MAP={price}:TIER" in text for text in texts)
    assert any("need to pay again" in text and "$29.00" in text for text in texts)
    ada.browser.open("/admin")
    assert f"STRIPE_PRICE_MAP={price}:TIER" in ada.browser.text
    assert "$29.00" in ada.browser.text
    ada.browser.press("Close without an order", reason="Refunded at Stripe")
    assert "$29.00" not in ada.browser.text
    with here.app.app_context():
        assert statistics.read().unplaced == 0
        assert unplaced_payments.mended() == []


def test_the_success_page_says_that_the_payment_arrived(
    here: World, visitor: browsing.Browser, ada: Person
) -> None:
    link, _price = unmapped_link(here)
    pay(visitor, link, follow=True)
    assert "/billing/success" in visitor.page.url
    assert "Your payment arrived" in visitor.text
    assert "$29.00" in visitor.text
    assert mails(here) == BOTH
    here.flush()
    assert mails(here) == BOTH


@pytest.mark.both_databases
def test_after_the_map_is_mended_the_sweep_fulfills_the_order(
    here: World, visitor: browsing.Browser, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, price = unmapped_link(here)
    pay(visitor, link, follow=False)
    here.flush()
    settings = here.app.extensions["settings"].model_copy(update={"stripe_price_map": {price: "pro"}})
    monkeypatch.setitem(here.app.extensions, "settings", settings)
    with here.app.app_context():
        replays.sweep()
        assert db.session.execute(select(Order.state, Order.tier)).one() == ("paid", "pro")
        assert db.session.execute(select(Subscription.tier)).scalar_one() == "pro"
        left = select(StripeEvent.type).filter_by(state="parked")
        assert db.session.execute(left).scalars().all() == []
        db.session.rollback()
    ada.browser.open("/admin")
    assert "Payments without an order" not in ada.browser.text


def test_another_product_of_the_account_is_counted_and_nobody_is_mailed(
    here: World, visitor: browsing.Browser, ada: Person
) -> None:
    link, _price = unmapped_link(here, returns=False)
    pay(visitor, link, follow=False)
    here.flush()
    assert mails(here) == []
    with here.app.app_context():
        assert db.session.execute(select(UnplacedPayment)).first() is None
        found = statistics.read()
        db.session.rollback()
        assert found.parked >= 1
    ada.browser.open("/admin/events")
    assert "parked" in ada.browser.text
    assert "No event is unfinished" not in ada.browser.text


def test_somebody_else_s_order_is_no_payment_without_an_order(
    here: World, bob: Person, visitor: browsing.Browser, charlie: Person
) -> None:
    with here.app.app_context():
        session_id = db.session.execute(select(Order.session_id)).scalar_one()
        db.session.rollback()
    visitor.open(f"/billing/success?session_id={session_id}")
    assert "Sign in" in visitor.text
    assert "Your payment arrived" not in visitor.text
    assert charlie.browser.open(f"/billing/success?session_id={session_id}").status_code == 404
    assert mails(here) == []


@pytest.mark.parametrize("signed_in", [True, False])
def test_the_credits_page_says_that_the_payment_arrived(
    here: World, visitor: browsing.Browser, alice: Person, ada: Person, signed_in: bool
) -> None:
    link, _price = unmapped_link(here)
    pay(visitor, link, follow=True)
    with here.app.app_context():
        session_id = db.session.execute(select(UnplacedPayment.session_id)).scalar_one()
        db.session.rollback()
    browser = alice.browser if signed_in else visitor
    answer = browser.open(f"/credits/success?session_id={session_id}")
    assert "Your payment arrived" in browser.text
    assert "$29.00" in browser.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert mails(here) == BOTH
    browser.open("/credits/success?session_id=cs_live_unknown")
    assert "Your payment arrived" not in browser.text


def test_a_payment_that_still_gives_no_order_is_asked_of_stripe_ever_more_rarely(
    here: World, visitor: browsing.Browser, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, price = unmapped_link(here)
    pay(visitor, link, follow=False)
    here.flush()
    settings = here.app.extensions["settings"].model_copy(update={"stripe_price_map": {price: "pro"}})
    monkeypatch.setitem(here.app.extensions, "settings", settings)
    now = clock.now()
    minutes = [*range(70), *range(70, 60 * 24 * 14, 240)]
    asked = 0
    with here.app.app_context():
        for minute in minutes:
            at = now + timedelta(minutes=minute)
            monkeypatch.setattr(clock, "now", lambda frozen=None, at=at: frozen or at)
            asked += len(unplaced_payments.mended())
    assert asked == unplaced_payments.MOST_TRIES


def test_one_line_mends_every_price(here: World, visitor: browsing.Browser, ada: Person) -> None:
    prices = []
    for _ in range(2):
        link, price = unmapped_link(here)
        pay(visitor, link, follow=False)
        here.flush()
        prices.append(price)
    ada.browser.open("/admin")
    line = f"STRIPE_PRICE_MAP={prices[0]}:TIER;{prices[1]}:TIER"
    assert ada.browser.text.count(line) == 1
    with here.app.app_context():
        newest = select(OutboxMail).filter_by(template="payment_unplaced_admin").order_by(OutboxMail.id.desc())
        assert db.session.execute(newest).scalars().first().context["fix"] == line
        db.session.rollback()
