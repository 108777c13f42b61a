"""Stories of orders: checkout, payment links, top-ups, refunds, and the admin's test purchases."""

from typing import Any

from sqlalchemy import select

from portal.credits.top_ups import top_ups
from portal.extensions import db
from portal.models import Customer, Order, Payment, PaymentLink, RefundRequest
from tests.credits.test_top_ups import TERMS, save_card
from tests.faults.injection import Site
from tests.faults.story import CUSTOMERS, PURCHASES, Story
from tests.support.looking import count, one
from tests.support.reversals import give_back, refunded

CARD = {"number": "4242 4242 4242 4242", "expiration": "12 / 34", "cvc": "123", "name": "A", "zip": "1"}


class Checkout(Story):
    """A plan is chosen, and finally bought."""

    sites = (
        Site("customers.stripe_customers.at_stripe", CUSTOMERS, ""),
        Site("orders.checkout._open_session", PURCHASES, ""),
    )

    def begin(self) -> None:
        self.alice = self.someone("alice")

    def act(self) -> None:
        assert self.alice.browser.choose("pro-monthly", follow=False).status_code == 503
        assert "You were not charged" in self.alice.browser.text

    def again(self) -> None:
        self.alice.browser.buy("pro-monthly")

    def check(self) -> None:
        assert (count(self.here, Order), one(self.here, select(Order.state))) == (1, "paid")
        made = self.here.stripe().v1.subscriptions.list({"customer": self.stripe_customer()}).data
        assert [subscription.status for subscription in made] == ["active"]


class Link(Story):
    """An operator creates a Payment Link, and does so again after the error."""

    sites = (Site("orders.payment_links.create", "payment_links", ""),)

    def act(self) -> None:
        assert self.command().exit_code != 0

    def again(self) -> None:
        assert self.command().exit_code == 0

    def command(self) -> Any:
        return self.here.app.test_cli_runner().invoke(args=["payment-link", "create", "--tier", "pro"])

    def check(self) -> None:
        link = one(self.here, select(PaymentLink))  # the one of before was taken up again
        assert self.here.stripe().v1.payment_links.retrieve(str(link.stripe_id)).url == link.url


class TopUp(Story):
    """A balance below its threshold buys credits."""

    sites = (Site("orders.off_session.charge", PURCHASES, ""),)

    def begin(self) -> None:
        browser = self.someone("alice").browser
        browser.open("/credits")
        browser.press("Turn on top-up", **TERMS)
        save_card(self.here)
        browser.open("/credits")
        browser.press("Turn on top-up", **TERMS)

    def act(self) -> None:
        self.in_context(top_ups.run)

    def check(self) -> None:
        made = self.here.stripe().v1.payment_intents.list({"customer": self.stripe_customer()}).data
        assert [intent.status for intent in made] == ["succeeded"]
        assert one(self.here, select(Customer.credit_balance)) == 5500
        assert one(self.here, select(Order.state)) == "paid"


class Refund(TopUp):
    """An admin refunds a part."""

    sites = (Site("payments.refunds.resume", "refund_orders", ""),)

    def begin(self) -> None:
        super().begin()
        self.in_context(top_ups.run)
        self.here.flush()

    def act(self) -> None:
        self.in_context(lambda: give_back(db.session.execute(select(Payment)).scalar_one()))

    def check(self) -> None:
        assert refunded(self.here, one(self.here, select(Payment.stripe_id))) == [500]
        assert one(self.here, select(RefundRequest.state)) == "done"
        assert one(self.here, select(Customer.credit_balance)) == 5500 - 611


class TestPlan(Story):
    """An admin buys a plan for a user on a clock, with a card that is declined from its second payment on."""

    __test__ = False  # pytest's own word
    sites = (
        Site("admin.test_billing.time_travel.begin", CUSTOMERS, "clock"),
        Site("admin.test_billing.time_travel.begin", CUSTOMERS, "on-clock"),
        Site("admin.test_billing.plan_orders._saved", PURCHASES, "card"),
        Site("admin.test_billing.plan_orders._saved", PURCHASES, "next-card"),
        Site("admin.test_billing.plan_orders._subscribe", PURCHASES, "subscribe"),
        Site("admin.test_billing.plan_orders._pay_first", PURCHASES, "pay"),
    )
    chosen = {"item": "plan:pro-monthly", "card": "fails_later", "trial": "0", "on_clock": "y"}

    def begin(self) -> None:
        self.admin = self.someone("ada", role="admin").browser
        self.admin.open(f"/admin/test-billing/{self.someone('bob').user_id}")
        form = self.admin.form("Create test purchase")
        self.form = (form.action, form.fields | self.chosen)

    def act(self) -> None:
        self.admin.http.post(*self.form, timeout=30)

    def again(self) -> None:
        self.admin.page = self.admin.http.post(*self.form, timeout=30)
        assert self.admin.page.ok, self.admin.text
        if "Check again" in self.admin.page.text:
            self.admin.press("Check again")

    def check(self) -> None:
        order = one(self.here, select(Order))
        stripe, name = self.here.stripe("test").v1, self.stripe_customer("test")
        [made] = stripe.subscriptions.list({"customer": name}).data
        assert (order.state, order.subscription_id, made.status) == ("paid", made.id, "active")
        paid = stripe.payment_intents.list({"customer": name}).data
        assert [intent.status for intent in paid] == ["succeeded"]
        card = stripe.payment_methods.retrieve(str(made.default_payment_method)).card
        assert card is not None
        assert card.last4 == "0341"


class TestUsage(TestPlan):
    """The same for pay as you go."""

    sites = (
        Site("admin.test_billing.usage_orders.pay", PURCHASES, ""),
        Site("admin.test_billing.usage_orders.pay", PURCHASES, "default"),
    )
    chosen = {"item": "usage:usage", "card": "success", "trial": "0"}

    def check(self) -> None:
        order = one(self.here, select(Order))
        stripe, name = self.here.stripe("test").v1, self.stripe_customer("test")
        [made] = stripe.subscriptions.list({"customer": name}).data
        assert (order.state, order.subscription_id, made.status) == ("paid", made.id, "active")
        assert stripe.customers.retrieve(name).invoice_settings.default_payment_method


STORIES = [Checkout, Link, TopUp, Refund, TestPlan, TestUsage]
