"""The calls about subscriptions and their invoices."""

from collections.abc import Iterator

from portal.gateway.calls import PAGE, Calls, Params, quoted
from portal.gateway.shapes import Invoice, Subscription


class Subscriptions(Calls):
    """A lane's calls about subscriptions."""

    def subscription(self, subscription_id: str) -> Subscription:
        """The subscription, with the card that it is paid by."""
        expand = ["default_payment_method", "customer.invoice_settings.default_payment_method"]
        return Subscription.read(
            self._ask("get", f"/v1/subscriptions/{quoted(subscription_id)}", {"expand": expand})
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
        path = f"/v1/subscriptions/{quoted(subscription_id)}"
        return Subscription.read(self._ask("post", path, params, idempotency_key))

    def invoice(self, invoice_id: str) -> Invoice:
        """The invoice as it is now, and whether its payment waits for the payer."""
        expand = {"expand": ["payments.data.payment.payment_intent"]}
        return Invoice.read(self._ask("get", f"/v1/invoices/{quoted(invoice_id)}", expand))

    def open_invoices(self, subscription_id: str) -> list[Invoice]:
        """A subscription's open invoices, newest first."""
        params = {"subscription": subscription_id, "status": "open", "limit": PAGE}
        return [Invoice.read(data) for data in self._list("/v1/invoices", params)]

    def latest_invoices(self, subscription_id: str, limit: int) -> list[Invoice]:
        """A subscription's newest invoices, without what is known of their payments."""
        page = self._ask("get", "/v1/invoices", {"subscription": subscription_id, "limit": limit})
        return [Invoice.read(data) for data in page["data"]]

    def void_invoice(self, invoice_id: str, idempotency_key: str) -> Invoice:
        """Have an open invoice never be paid. StripeRefused where it is not open any more."""
        return Invoice.read(self._ask("post", f"/v1/invoices/{quoted(invoice_id)}/void", {}, idempotency_key))
