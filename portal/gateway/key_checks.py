"""What a key can do, and the time at Stripe."""

from collections.abc import Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from portal.errors import StripeRefused, StripeUnavailable
from portal.gateway.calls import Calls

# A list of each kind of object that the portal reads.
READ = (
    "/v1/customers",
    "/v1/products",
    "/v1/prices",
    "/v1/checkout/sessions",
    "/v1/payment_links",
    "/v1/billing_portal/configurations",
    "/v1/subscriptions",
    "/v1/invoices",
    "/v1/payment_intents",
    "/v1/refunds",
    "/v1/charges",
    "/v1/disputes",
    "/v1/billing/meters",
    "/v1/webhook_endpoints",
    "/v1/events",
)

# Where the portal creates objects.
WRITTEN = (
    "/v1/customers",
    "/v1/customers/cus_of_nobody/tax_ids",
    "/v1/products",
    "/v1/prices",
    "/v1/checkout/sessions",
    "/v1/payment_links",
    "/v1/billing_portal/configurations",
    "/v1/billing_portal/sessions",
    "/v1/subscriptions",
    "/v1/subscription_schedules",
    "/v1/invoices",
    "/v1/invoiceitems",
    "/v1/payment_intents",
    "/v1/refunds",
    "/v1/billing/meters",
    "/v1/webhook_endpoints",
)
UNKNOWN = {"asked_by_doctor": "nothing is created"}  # Stripe has no such parameter, and refuses the call for it


class KeyChecks(Calls):
    """Calls that only check the key and the clock."""

    def server_time(self) -> datetime:
        """Return the time of Stripe's response to a call. Raises StripeUnavailable for a key that it refuses."""
        headers = self._response("get", "/v1/prices", {"limit": 1}).headers
        return parsedate_to_datetime(headers["Date"])

    def unreadable(self) -> Iterator[str]:
        """Yield the paths that a restricted key may not list. Raises StripeUnavailable without an answer."""
        for path in READ:
            if not self._may("get", path, {"limit": 1}):
                yield path

    def unwritable(self) -> Iterator[str]:
        """Yield the paths where a restricted key may create nothing. Raises StripeUnavailable without an answer.

        Nothing is created: Stripe checks the permission first and refuses the parameter then.
        """
        for path in WRITTEN:
            if not self._may("post", path, UNKNOWN):
                yield path

    def _may(self, verb: Literal["get", "post"], path: str, params: dict[str, Any]) -> bool:
        try:
            self._ask(verb, path, params)
        except StripeRefused:
            return True
        except StripeUnavailable as error:
            if error.for_operator == error.detail:
                raise
            return False
        return True
