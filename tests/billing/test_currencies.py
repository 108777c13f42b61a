"""Prices with several currencies: what is shown is the currency that is charged."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from portal.customers import stripe_customers
from portal.enums import Mode
from portal.extensions import db
from portal.models import Order, Payment, Subscription
from portal.orders import differences
from tests.conftest import Person
from tests.support.clocked import Clocked, on_a_clock
from tests.support.world import World


def catalogue(here: World, lookup_key: str, mode: str = "live") -> Any:
    return here.stripe(mode).v1.prices.list({"lookup_keys": [lookup_key]}).data[0]


@pytest.fixture
def in_euros(here: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give Pro and Starter an amount in euros, €45.00 and €18.00 a month."""
    monkeypatch.setitem(here.app.extensions, "stripe_prices", {})
    prices = [
        (here.stripe(mode).v1.prices, catalogue(here, key, mode).id, amount)
        for mode in ("live", "test")
        for key, amount in (("pro_monthly", 4500), ("starter_monthly", 1800))
    ]
    for api, price, amount in prices:
        api.update(price, {"currency_options": {"eur": {"unit_amount": amount}}})
    yield
    for api, price, _ in prices:
        api.update(price, {"currency_options": ""})


def pays_euros(here: World, someone: Person) -> str:
    """Make euros the currency of this person's customer, by a subscription to another product."""
    api = here.stripe().v1
    with here.app.app_context():
        customer = stripe_customers.of(someone.user)
        db.session.commit()
        name = stripe_customers.at_stripe(customer)
    method = api.payment_methods.attach("pm_card_visa", {"customer": name})
    api.customers.update(name, {"invoice_settings": {"default_payment_method": method.id}})
    product = api.products.create({"name": "Workshop"}).id
    price = api.prices.create(
        {"product": product, "currency": "eur", "unit_amount": 1000, "recurring": {"interval": "month"}}
    )
    api.subscriptions.create({"customer": name, "items": [{"price": price.id}]})
    here.flush()
    return name


def test_a_customer_sees_and_pays_the_price_in_their_currency(here: World, alice: Person, in_euros: None) -> None:
    pays_euros(here, alice)
    alice.browser.open("/pricing")
    assert "€45 EUR a month" in alice.browser.text
    assert "$49.99" not in alice.browser.text
    alice.browser.choose("pro-monthly")
    assert "€45.00" in alice.browser.text
    alice.browser.pay()
    assert "€45.00 a month" in alice.browser.text
    here.flush()
    alice.browser.open("/billing")
    assert "$" not in alice.browser.text
    assert "Next payment for Pro €45.00" in alice.browser.text
    with here.app.app_context():
        order = db.session.execute(select(Order)).scalar_one()
        assert (order.state, order.amount, order.currency) == ("paid", 4500, "eur")
        assert {one.currency for one in db.session.execute(select(Payment)).scalars()} == {"eur"}


def test_a_price_in_the_second_currency_of_a_customer_is_refused_before(here: World, alice: Person) -> None:
    pays_euros(here, alice)
    alice.browser.open("/pricing?cycle=month")
    assert "Your subscription is paid in EUR, and this price is in USD." in alice.browser.text
    assert "Choose Pro" not in alice.browser.text
    token = next(form.fields["csrf_token"] for form in alice.browser.forms() if "csrf_token" in form.fields)
    chosen = {"csrf_token": token, "price": "pro-monthly"}
    answer = alice.browser.http.post(f"{here.base}/billing/checkout", data=chosen)
    assert answer.status_code == 409
    assert "Stripe charges all subscriptions of a customer in one currency" in answer.text
    with here.app.app_context():
        assert db.session.execute(select(Order)).first() is None


def test_a_change_of_plan_is_offered_and_quoted_in_the_subscription_s_currency(
    here: World, alice: Person, in_euros: None
) -> None:
    pays_euros(here, alice)
    alice.browser.choose("starter-monthly")
    alice.browser.pay()
    here.flush()
    alice.browser.open("/billing/change")
    assert "€45.00 a month" in alice.browser.text
    assert "$" not in alice.browser.text.split("Change plan", 1)[1].split("Yearly")[0]
    alice.browser.open("/billing/change?price=pro-monthly")
    assert "Next payment €45.00" in alice.browser.text
    alice.browser.press("Confirm change")
    here.flush()
    with here.app.app_context():
        plan = db.session.execute(select(Subscription).filter_by(tier="pro")).scalar_one()
        assert (plan.amount, plan.currency) == (4500, "eur")


@pytest.mark.parametrize(("amount", "state"), [(4500, "paid"), (4400, "open")])
def test_a_checkout_that_is_paid_in_another_currency_of_the_price(
    here: World, alice: Person, ada: Person, in_euros: None, amount: int, state: str
) -> None:
    """4400 is a price that was changed in between: then somebody has to look."""
    alice.browser.choose("pro-monthly")
    with here.app.app_context():
        order = db.session.execute(select(Order)).scalar_one()
        order_id, params, api = order.id, {**order.params, "currency": "eur"}, here.stripe().v1
        api.checkout.sessions.expire(order.session_id)
        session = api.checkout.sessions.create(params)
        order.session_id, order.session_url = session.id, session.url
        db.session.commit()
    if amount != 4500:
        changed = {"currency_options": {"eur": {"unit_amount": amount}}}
        api.prices.update(catalogue(here, "pro_monthly").id, changed)
    alice.browser.open(session.url)
    alice.browser.pay()
    here.flush()
    with here.app.app_context():
        order = db.session.get_one(Order, order_id)
        assert order.state == state
        if state == "paid":
            assert (order.amount, order.currency, order.differs) == (4500, "eur", None)
            return
        number = order.number
    assert "Your payment is in review" in alice.browser.text
    assert number in alice.browser.text
    assert "a few seconds" not in alice.browser.text
    ada.browser.open("/admin")
    assert "Payments that differ from their order" in ada.browser.text
    assert number in ada.browser.text
    ada.browser.press("Close without fulfilling", reason="Refunded at Stripe")
    assert "Payments that differ from their order" not in ada.browser.text
    alice.browser.open(alice.browser.page.url)
    assert "Your order was not fulfilled" in alice.browser.text
    with here.app.app_context():
        differences.note(Mode.LIVE, number, "amount, currency")
        db.session.commit()
    ada.browser.open("/admin")
    assert "Payments that differ from their order" in ada.browser.text  # another difference is another question


def test_a_subscription_in_another_currency_of_its_price_is_shown_in_it(
    here: World, alice: Person, in_euros: None, app: Any
) -> None:
    carol: Clocked = on_a_clock(here, alice.user)
    made = carol.subscribe(currency="eur")
    plan = db.session.execute(select(Subscription).filter_by(stripe_id=made)).scalar_one()
    assert (plan.amount, plan.currency, plan.parts[0].currency) == (4500, "eur", "eur")
    db.session.commit()


def test_an_amount_says_its_code_once(here: World, alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    api = here.stripe().v1
    recurring = {"interval": "month"}
    product = api.products.create({"name": "Gulf"}).id
    price = api.prices.create(
        {"product": product, "currency": "kwd", "unit_amount": 15120, "recurring": recurring}
    )
    settings = here.app.extensions["settings"].model_copy(
        update={"stripe_allowed_price_ids": frozenset([price.id])}
    )
    monkeypatch.setitem(here.app.extensions, "settings", settings)
    monkeypatch.setitem(here.app.extensions, "stripe_prices", {})
    alice.browser.choose(price.id)
    alice.browser.pay()
    here.flush()
    for path in ("/pricing", "/billing"):
        alice.browser.open(path)
        assert "KWD" in alice.browser.text
        assert "KWD a month" not in alice.browser.text
    assert "KWD 15.120 a month" in alice.browser.text.replace("\u00a0", " ")
