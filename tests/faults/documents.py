"""Stories of the invoices of paid orders."""

from typing import Any

from sqlalchemy import select

from portal import clock
from portal.customers import billing_details, stripe_customers
from portal.extensions import db
from portal.models import Order, OrderInvoice, Payment
from portal.orders.documents import invoices
from tests.faults.injection import Site
from tests.faults.story import Story
from tests.support.looking import count, one

CLAIMS = "order_invoices"
ROOM = "orders.documents.invoices"


class Document(Story):
    """A paid order of credits gets its invoice."""

    sites = (
        Site(f"{ROOM}._draft", CLAIMS, "draft"),
        Site(f"{ROOM}._add_line", CLAIMS, "line-*"),
        Site(f"{ROOM}._finalized", CLAIMS, "final"),
        Site(f"{ROOM}._attached", CLAIMS, "attach"),
    )

    def begin(self) -> None:
        browser = self.someone("alice").browser
        browser.open("/credits")
        browser.press("Buy Basic")
        browser.pay()
        self.here.flush()
        with self.here.app.app_context():
            order = db.session.execute(select(Order)).scalar_one()
            now, owner = clock.now(), {"mode": order.mode, "customer_id": order.customer_id}
            db.session.add(OrderInvoice(order_id=order.id, params={}, next_at=now, created_at=now, **owner))
            db.session.commit()

    def act(self) -> None:
        self.in_context(invoices.run)

    def check(self) -> None:
        assert self.statuses() == ["paid"]
        assert one(self.here, select(OrderInvoice.state)) == "done"
        assert count(self.here, Payment) == 1

    def statuses(self) -> list[str]:
        """The statuses of the invoices that are documents."""
        made: Any = self.here.stripe().v1.invoices.list({"customer": self.stripe_customer(), "limit": 100}).data
        return [invoice.status for invoice in made if "order_document" in (invoice.metadata or ())]


class TaxId(Story):
    """A tax id is added to the billing details."""

    sites = (Site("customers.billing_details._set_tax_id", "stripe_customers", "tax-id-*"),)

    def begin(self) -> None:
        alice = self.someone("alice")
        self.in_context(lambda: stripe_customers.at_stripe(stripe_customers.of(alice.user)))
        self.alice = alice

    def act(self) -> None:
        details = billing_details.Details("Example", {"country": "DE"}, "eu_vat", "DE123456789")
        self.in_context(lambda: billing_details.save(stripe_customers.of(self.alice.user), details, "nonce"))

    def again(self) -> None:
        self.act()

    def check(self) -> None:
        customer = self.here.stripe().v1.customers.retrieve(self.stripe_customer(), {"expand": ["tax_ids"]})
        assert [one.value for one in customer.tax_ids.data] == ["DE123456789"]
        assert customer.name == "Example"


class Unattachable(Document):
    """The payment has paid another invoice already, so the document is voided."""

    sites = (Site(f"{ROOM}._void", CLAIMS, "void"),)

    def begin(self) -> None:
        super().begin()
        stripe, customer = self.here.stripe().v1, self.stripe_customer()
        other = stripe.invoices.create({"customer": customer, "auto_advance": False})
        stripe.invoice_items.create({"customer": customer, "invoice": other.id, "amount": 4500, "currency": "usd"})
        stripe.invoices.finalize_invoice(other.id)
        stripe.invoices.attach_payment(other.id, {"payment_intent": one(self.here, select(Payment.stripe_id))})
        self.here.flush()

    def check(self) -> None:
        assert self.statuses() == ["void"]
        assert one(self.here, select(OrderInvoice.state)) == "failed"
        assert count(self.here, Payment) == 1


STORIES = [Document, Unattachable, TaxId]
