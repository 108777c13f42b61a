"""The calls about subscriptions: as they are, what changes them, and what a change would cost."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from portal.gateway.calls import PAGE, Calls, Params, part
from portal.gateway.shapes import Invoice
from portal.gateway.subscription import Preview, Schedule, Subscription

AT_ONCE = 8  # previews; Stripe takes 25 calls a second in test mode, 100 in live mode


class Subscriptions(Calls):
    """A lane's calls about subscriptions."""

    def subscription(self, subscription_id: str) -> Subscription:
        """The subscription, with the card that it is paid by."""
        expand = ["default_payment_method", "customer.invoice_settings.default_payment_method"]
        return Subscription.read(
            self._ask("get", f"/v1/subscriptions/{part(subscription_id)}", {"expand": expand})
        )

    def every_subscription(self) -> Iterator[Subscription]:
        """Every subscription there ever was, the newest first, without its card."""
        listed = self._list("/v1/subscriptions", {"status": "all", "limit": PAGE})
        return (Subscription.read(data) for data in listed)

    def running_subscriptions(self) -> Iterator[Subscription]:
        """Every subscription that has not ended, the newest first, without its card."""
        return (Subscription.read(data) for data in self._list("/v1/subscriptions", {"limit": PAGE}))

    def update_subscription(self, subscription_id: str, params: Params, idempotency_key: str) -> Subscription:
        """POST /v1/subscriptions/{id}."""
        path = f"/v1/subscriptions/{part(subscription_id)}"
        return Subscription.read(self._ask("post", path, params, idempotency_key))

    def cancel_subscription(self, subscription_id: str, idempotency_key: str) -> Subscription:
        """End a subscription now. StripeRefused where it has ended already."""
        return Subscription.read(
            self._ask("delete", f"/v1/subscriptions/{part(subscription_id)}", {}, idempotency_key)
        )

    # What is scheduled

    def schedule(self, schedule_id: str) -> Schedule:
        """The schedule as it is now."""
        return Schedule.read(self._ask("get", f"/v1/subscription_schedules/{part(schedule_id)}"))

    def create_schedule(self, subscription_id: str, idempotency_key: str) -> Schedule:
        """A schedule that goes on with the subscription as it is. StripeRefused where it has one."""
        params = {"from_subscription": subscription_id}
        return Schedule.read(self._ask("post", "/v1/subscription_schedules", params, idempotency_key))

    def update_schedule(self, schedule_id: str, params: Params, idempotency_key: str) -> Schedule:
        """POST /v1/subscription_schedules/{id}."""
        path = f"/v1/subscription_schedules/{part(schedule_id)}"
        return Schedule.read(self._ask("post", path, params, idempotency_key))

    def release_schedule(self, schedule_id: str, idempotency_key: str) -> Schedule:
        """Let the subscription go on as it is. StripeRefused for a schedule that is over."""
        path = f"/v1/subscription_schedules/{part(schedule_id)}/release"
        return Schedule.read(self._ask("post", path, {}, idempotency_key))

    # What a change would cost

    def preview(self, params: Params) -> Preview:
        """POST /v1/invoices/create_preview: nothing is changed by it."""
        return Preview.read(self._ask("post", "/v1/invoices/create_preview", params))

    def previews(self, wanted: Sequence[Params]) -> list[Preview]:
        """Several at once, for a page that compares them."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            asked = [pool.submit(copy_context().run, self.preview, params) for params in wanted]
        return [one.result() for one in asked]

    # Invoices

    def invoice(self, invoice_id: str) -> Invoice:
        """The invoice as it is now, and whether its payment waits for the payer."""
        expand = {"expand": ["payments.data.payment.payment_intent"]}
        return Invoice.read(self._ask("get", f"/v1/invoices/{part(invoice_id)}", expand))

    def invoice_of(self, paid_by: str) -> str | None:
        """The id of the invoice that a payment intent or a charge paid; None for other payments."""
        kind = "payment_intent" if paid_by.startswith("pi_") else "charge"
        payment = {"type": kind, kind: paid_by}
        page = self._ask("get", "/v1/invoice_payments", {"payment": payment, "limit": 1})
        return str(page["data"][0]["invoice"]) if page["data"] else None

    def open_invoices(self, subscription_id: str) -> list[Invoice]:
        """A subscription's open invoices, newest first."""
        params = {"subscription": subscription_id, "status": "open", "limit": PAGE}
        return [Invoice.read(data) for data in self._list("/v1/invoices", params)]

    def latest_invoices(self, subscription_id: str, limit: int) -> list[Invoice]:
        """A subscription's newest invoices with their payments, but not whether one waits for its payer."""
        params = {"subscription": subscription_id, "limit": limit, "expand": ["data.payments"]}
        page = self._ask("get", "/v1/invoices", params)
        return [Invoice.read(data) for data in page["data"]]

    def void_invoice(self, invoice_id: str, idempotency_key: str) -> Invoice:
        """Have an open invoice never be paid. StripeRefused where it is not open any more."""
        return Invoice.read(self._ask("post", f"/v1/invoices/{part(invoice_id)}/void", {}, idempotency_key))
