"""Payment Links: bought without an account, one reveal for the bearer, the account by mail."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from portal import clock
from portal.extensions import db
from portal.models import ApiKey, Order, StripeCustomer, StripeEvent, Subscription, User
from portal.webhooks import replays
from tests.conftest import PASSWORD, Person
from tests.support import browsing, mailbox
from tests.support.world import World


def count(model: type) -> int:
    return db.session.execute(select(func.count()).select_from(model)).scalar_one()


def make_link(here: World, *options: str) -> str:
    """The address that the command prints."""
    done = here.app.test_cli_runner().invoke(args=["payment-link", "create", "--tier", "pro", *options])
    assert done.exit_code == 0, done.output
    return done.output.strip()


def pay(browser: browsing.Browser, link: str, email: str) -> None:
    """Pay on the link's own page, which leads to the success page."""
    browser.open(link)
    browser.pay(email=email)
    assert "/billing/success" in browser.page.url, browser.text


def test_a_stranger_pays_by_a_link_reveals_a_key_and_claims_the_account_by_mail(
    here: World, visitor: browsing.Browser
) -> None:
    pay(visitor, make_link(here), "eve@example.com")
    key = visitor.reveal()
    assert visitor.receipt(key).json()["tier"] == "pro"
    claim = mailbox.links(here, "eve@example.com", "/claim/")[-1]
    visitor.open(claim)
    visitor.press("Claim account", password=PASSWORD)
    visitor.open("/billing")
    assert "Pro" in visitor.text
    assert "Renews on" in visitor.text


def test_the_bearer_reveals_once(here: World, visitor: browsing.Browser) -> None:
    pay(visitor, make_link(here), "eve@example.com")
    success = visitor.page.url
    form = visitor.form("Reveal my API key")
    key = visitor.reveal()
    assert key not in visitor.http.post(form.action, data=form.fields).text
    assert "Reveal" not in visitor.open(success).text
    with here.app.app_context():
        assert count(ApiKey) == 1


@pytest.mark.parametrize(
    ("age", "reveals"), [(timedelta(minutes=59), True), (timedelta(hours=1, seconds=1), False)]
)
def test_the_bearer_has_an_hour(here: World, visitor: browsing.Browser, age: timedelta, reveals: bool) -> None:
    pay(visitor, make_link(here), "eve@example.com")
    form = visitor.form("Reveal my API key")
    with here.app.app_context():
        db.session.execute(update(Order).values(paid_at=clock.now() - age))
        db.session.commit()
    visitor.open(visitor.page.url)
    assert ("Reveal my API key" in visitor.text) is reveals
    if not reveals:
        assert "We sent you a mail" in visitor.text
        assert visitor.http.post(form.action, data=form.fields).status_code == 409


def test_an_existing_account_is_never_handed_out(here: World, charlie: Person, visitor: browsing.Browser) -> None:
    charlie.prove()
    pay(visitor, make_link(here), charlie.email)
    assert "Sign in to see it" in visitor.text
    assert "Reveal" not in visitor.text
    charlie.browser.open(visitor.page.url)
    assert charlie.browser.receipt(charlie.browser.reveal()).json()["tier"] == "pro"


def test_each_purchase_for_an_address_that_nobody_has_proven_stands_by_itself(
    here: World, visitor: browsing.Browser
) -> None:
    pay(visitor, make_link(here, "--tier", "starter"), "eve@example.com")
    cheap = visitor.reveal()
    first = mailbox.links(here, "eve@example.com", "/claim/")[-1]
    again = browsing.Browser(here)
    pay(again, make_link(here), "eve@example.com")
    dear = again.reveal()
    assert mailbox.links(here, "eve@example.com", "/claim/")[-1] != first
    assert (visitor.receipt(cheap).json()["tier"], again.receipt(dear).json()["tier"]) == ("starter", "pro")
    with here.app.app_context():
        assert count(User) == 2


def test_a_second_subscription_is_kept_and_can_be_cancelled(here: World, bob: Person) -> None:
    bob.prove()
    pay(browsing.Browser(here), make_link(here), bob.email)
    here.flush()
    bob.browser.open("/billing")
    assert "Also running" in bob.browser.text
    bob.browser.open(re.search(r'"(/billing/cancel\?subscription=\w+)"', bob.browser.page.text)[1])
    bob.browser.press("Cancel at period end")
    assert "Your Pro plan ends on" in bob.browser.text
    with here.app.app_context():
        ends = db.session.execute(select(Subscription.cancel_at)).scalars().all()
    assert sum(at is None for at in ends) == 1


def test_a_buyer_with_a_key_sees_which_one_carries_the_plan_now(here: World, bob: Person) -> None:
    bob.prove()
    bob.browser.open("/keys")
    bob.browser.press("Create key", name="old")
    prefix = re.search(r"key_live_\w{8}", bob.browser.page.text)[0]
    stranger = browsing.Browser(here)
    pay(stranger, make_link(here), bob.email)
    bob.browser.open(stranger.page.url)
    assert prefix in bob.browser.text
    assert "Reveal" not in bob.browser.text


def test_webhooks_in_any_order_end_alike_and_what_was_parked_is_handled(
    here: World, visitor: browsing.Browser
) -> None:
    link = make_link(here)
    visitor.open(link)
    visitor.pay(email="eve@example.com", follow=False)
    here.deliveries(hold=True, reorder=True)
    here.flush()
    with here.app.app_context():
        replays.sweep()
        states = {row.type: row.state for row in db.session.execute(select(StripeEvent.type, StripeEvent.state))}
        assert states["checkout.session.completed"] == "processed"
        assert states["customer.subscription.created"] == "processed"
        assert "parked" not in states.values()
        assert (count(Order), count(Subscription), count(User)) == (1, 1, 1)


def test_a_link_made_elsewhere_is_ours_by_its_price(here: World, visitor: browsing.Browser) -> None:
    stripe = here.stripe()
    price = stripe.v1.prices.list({"lookup_keys": ["pro_monthly"]}).data[0].id
    success = f"{here.base}/billing/success?session_id={{CHECKOUT_SESSION_ID}}"
    link = stripe.v1.payment_links.create(
        {
            "line_items": [{"price": price, "quantity": 1}],
            "after_completion": {"type": "redirect", "redirect": {"url": success}},
        }
    )
    pay(visitor, link.url, "eve@example.com")
    assert visitor.receipt(visitor.reveal()).json()["tier"] == "pro"


def test_a_link_that_sells_nothing_of_ours_is_parked(here: World, visitor: browsing.Browser) -> None:
    stripe = here.stripe()
    price = stripe.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": 500,
            "recurring": {"interval": "month"},
            "product_data": {"name": "Somebody else's"},
            "metadata": {"tier": "pro"},
        }
    )
    link = stripe.v1.payment_links.create({"line_items": [{"price": price.id, "quantity": 1}]})
    visitor.open(link.url)
    visitor.pay(email="eve@example.com", follow=False)
    here.flush()
    with here.app.app_context():
        state = db.session.execute(
            select(StripeEvent.state).filter_by(type="checkout.session.completed")
        ).scalar_one()
        assert state == "parked"
        assert (count(Order), count(User), count(StripeCustomer)) == (0, 0, 0)


def test_a_withdrawn_price_that_was_paid_all_the_same_is_given(here: World, visitor: browsing.Browser) -> None:
    link = make_link(here)
    with here.app.app_context():
        from portal.models import Price

        db.session.execute(update(Price).where(Price.key == "pro-monthly").values(withdrawn=True))
        db.session.commit()
    pay(visitor, link, "eve@example.com")
    assert visitor.receipt(visitor.reveal()).json()["tier"] == "pro"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--tier", "gold"], "no gold plan"),
        (["--tier", "beta"], "--allow-hidden"),
        (["--tier", "pro", "--base-url", "ftp://x"], "http(s) address"),
    ],
)
def test_what_cannot_be_sold_by_a_link_is_refused_in_words(here: World, options: list[str], words: str) -> None:
    done = here.app.test_cli_runner().invoke(args=["payment-link", "create", *options])
    assert done.exit_code == 1
    assert words in done.output


def test_a_hidden_tier_is_sold_with_the_flag(here: World) -> None:
    done = here.app.test_cli_runner().invoke(args=["payment-link", "create", "--tier", "beta", "--allow-hidden"])
    assert done.exit_code == 0, done.output
