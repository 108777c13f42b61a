"""Stories of pay as you go: its beginning, a month's bill, and a card that becomes the default."""

from sqlalchemy import select

from portal.customers import stripe_customers
from portal.models import Customer, MonthlyBill, Order, StripeCustomer, UsageAgreement, UsageCorrection
from portal.usage.monthly_run import corrections
from tests.faults.injection import Site
from tests.faults.story import BILLS, CUSTOMERS, PURCHASES, Story
from tests.support.looking import one
from tests.support.usage import invoices, lines_of, run, save_card, start, used


class PayAsYouGo(Story):
    """A card is saved, and the one metered subscription is created; only the webhook reports it."""

    sites = (
        Site("usage.agreements.act", PURCHASES, "default"),
        Site("usage.agreements.resume", "usage_agreements", ""),
    )

    def begin(self) -> None:
        start(self.someone("alice").browser, back=False)

    def act(self) -> None:
        self.here.flush()

    def check(self) -> None:
        name = self.stripe_customer()
        [made] = self.here.stripe().v1.subscriptions.list({"customer": name}).data
        assert one(self.here, select(UsageAgreement.subscription_id)) == made.id
        assert one(self.here, select(Order.state)) == "paid"
        assert self.here.stripe().v1.customers.retrieve(name).invoice_settings.default_payment_method


class Bill(Story):
    """A month's usage is billed: a draft, a line for each meter, and the invoice."""

    sites = (
        Site("usage.monthly_run.bill_invoices._drafted", BILLS, "draft"),
        Site("usage.monthly_run.bill_invoices._add", BILLS, "*"),
        Site("usage.monthly_run.bill_invoices._at_stripe", BILLS, "final"),
    )

    def begin(self) -> None:
        alice = self.someone("alice")

        two = ("a", 2, "cpu_hour"), ("b", 3, "gpu_hour")
        self.customer_id = self.in_context(lambda: used(alice.user, *two))

    def act(self) -> None:
        with self.here.app.app_context():
            run(self.here.app)

    def again(self) -> None:
        self.act()

    def check(self) -> None:
        with self.here.app.app_context():
            [invoice] = invoices(self.here, self.customer_id)
        assert (invoice.status, len(lines_of(invoice))) == ("open", 2)  # there is no card
        assert one(self.here, select(MonthlyBill.state)) in ("invoiced", "unpaid")
        assert one(self.here, select(MonthlyBill.invoice_id)) == invoice.id


class NewCard(Story):
    """A card is attached to a customer without a default, and becomes the default."""

    sites = (Site("usage.missing_payment_method.act", CUSTOMERS, "default-*"),)

    def begin(self) -> None:
        alice = self.someone("alice")
        self.in_context(lambda: stripe_customers.at_stripe(stripe_customers.of(alice.user)))
        self.method = save_card(self.here, self.stripe_customer())

    def act(self) -> None:
        self.here.flush()

    def check(self) -> None:
        settings = self.here.stripe().v1.customers.retrieve(self.stripe_customer()).invoice_settings
        assert settings.default_payment_method == self.method
        assert one(self.here, select(StripeCustomer.is_current))
        assert one(self.here, select(Customer.suspended_at)) is None


class Correction(Story):
    """Usage of a billed month is taken back: a credit note."""

    sites = (Site("usage.monthly_run.corrections._credit", "usage_corrections", ""),)

    def begin(self) -> None:
        alice = self.someone("alice")

        def bill() -> int:
            customer_id = used(alice.user, ("a", 2, "cpu_hour"), ("b", 3, "cpu_hour"))
            run(self.here.app)
            return customer_id

        self.customer_id = self.in_context(bill)

    def act(self) -> None:
        self.in_context(lambda: corrections.take_back(self.customer_id, "a", "A slip"))

    def again(self) -> None:
        self.act()

    def check(self) -> None:
        with self.here.app.app_context():
            [invoice] = invoices(self.here, self.customer_id)
        [note] = self.here.stripe().v1.credit_notes.list({"invoice": invoice.id}).data
        assert (note.amount, invoice.pre_payment_credit_notes_amount) == (20, 20)
        assert one(self.here, select(UsageCorrection.state)) == "done"
        assert one(self.here, select(UsageCorrection.credit_note_id)) == note.id


STORIES = [PayAsYouGo, Bill, NewCard, Correction]
