"""The calls that try things out in test mode: Stripe's own test cards, and test clocks."""

from portal.gateway.calls import Calls, Params, part
from portal.gateway.customers import Clock
from portal.gateway.payments import PaymentIntent, Reversal, SavedMethod


class Testing(Calls):
    """A lane's calls for trying things out."""

    def attach_method(self, method: str, customer: str, idempotency_key: str) -> SavedMethod:
        """Save a payment method with a customer. StripeRefused where the card is declined."""
        path = f"/v1/payment_methods/{part(method)}/attach"
        return SavedMethod.read(self._ask("post", path, {"customer": customer}, idempotency_key))

    def first_payment(self, subscription_id: str) -> PaymentIntent | None:
        """What pays a subscription's first invoice; None where nothing is due, as in a trial."""
        expand = {"expand": ["latest_invoice.payments.data.payment.payment_intent"]}
        data = self._ask("get", f"/v1/subscriptions/{part(subscription_id)}", expand)
        payments = ((data.get("latest_invoice") or {}).get("payments") or {}).get("data") or []
        intents = (one["payment"].get("payment_intent") for one in payments)
        return next((PaymentIntent.read(intent) for intent in intents if isinstance(intent, dict)), None)

    def confirm_intent(self, intent_id: str, params: Params, idempotency_key: str) -> PaymentIntent:
        """Pay a payment intent. StripeRefused where the card is declined."""
        path = f"/v1/payment_intents/{part(intent_id)}/confirm"
        return PaymentIntent.read(self._ask("post", path, params, idempotency_key))

    def create_test_clock(self, params: Params, idempotency_key: str) -> Clock:
        """POST /v1/test_helpers/test_clocks."""
        return Clock.read(self._ask("post", "/v1/test_helpers/test_clocks", params, idempotency_key))

    def advance_test_clock(self, clock_id: str, frozen_time: int) -> Clock:
        """Let a clock's time pass until this second since 1970; it is `advancing` until Stripe is done."""
        path = f"/v1/test_helpers/test_clocks/{part(clock_id)}/advance"
        return Clock.read(self._ask("post", path, {"frozen_time": frozen_time}))

    def delete_test_clock(self, clock_id: str) -> None:
        """End a clock, and at Stripe the customers on it with everything of theirs."""
        self._ask("delete", f"/v1/test_helpers/test_clocks/{part(clock_id)}")

    def dispute_in_sandbox(self, intent_id: str) -> Reversal:
        """Have a payment's cardholder dispute it: the sandbox's own, for Stripe has no call that does it."""
        return Reversal.read(self._ask("post", f"/_config/disputes/{part(intent_id)}"))
