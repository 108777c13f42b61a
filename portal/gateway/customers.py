"""Customers at Stripe: what the portal reads of them, and the calls about them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from portal.gateway.calls import PAGE, Calls, Params, part
from portal.gateway.payments import SavedMethod
from portal.gateway.shapes import Card, id_of

Json = dict[str, Any]


@dataclass(frozen=True)
class Customer:
    """A customer at Stripe. A deleted one answers with nothing but its id.

    `payment_method` is the default one's id, `card` its card where it is one.
    """

    id: str
    email: str
    deleted: bool
    payment_method: str | None = None
    card: Card | None = None
    test_clock: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, data: Json) -> Self:
        """From /v1/customers, with invoice_settings.default_payment_method expanded for the card."""
        method = (data.get("invoice_settings") or {}).get("default_payment_method")
        return cls(
            id=data["id"],
            email=data.get("email") or "",
            deleted=bool(data.get("deleted")),
            payment_method=id_of(method),
            card=Card.read(method),
            test_clock=id_of(data.get("test_clock")),
            metadata=data.get("metadata") or {},
        )


@dataclass(frozen=True)
class Clock:
    """A test clock and its time. `status` is ready, advancing or internal_failure."""

    id: str
    frozen_at: datetime
    status: str

    @classmethod
    def read(cls, data: Json) -> Self:
        """From /v1/test_helpers/test_clocks."""
        return cls(data["id"], datetime.fromtimestamp(data["frozen_time"], UTC), data["status"])


@dataclass(frozen=True)
class PortalConfiguration:
    """What Stripe's own portal offers, where a session names this configuration."""

    id: str
    features: dict[str, Any]
    metadata: dict[str, str]

    @classmethod
    def read(cls, data: Json) -> Self:
        """From /v1/billing_portal/configurations."""
        return cls(data["id"], data["features"], data.get("metadata") or {})


class Customers(Calls):
    """A lane's calls about customers."""

    def create_customer(self, params: Params, idempotency_key: str) -> Customer:
        """POST /v1/customers."""
        return Customer.read(self._ask("post", "/v1/customers", params, idempotency_key))

    def update_customer(self, stripe_id: str, params: Params) -> Customer:
        """POST /v1/customers/{id}. It sets what it names, so that once more does no harm and needs no key."""
        return Customer.read(self._ask("post", f"/v1/customers/{part(stripe_id)}", params))

    def delete_customer(self, stripe_id: str) -> Customer:
        """DELETE /v1/customers/{id}: ends subscriptions and forgets cards; invoices and charges stay. For good."""
        return Customer.read(self._ask("delete", f"/v1/customers/{part(stripe_id)}"))

    def customer(self, stripe_id: str) -> Customer:
        """The customer and their default card; one that was deleted comes back with `deleted` set."""
        expand = {"expand": ["invoice_settings.default_payment_method"]}
        return Customer.read(self._ask("get", f"/v1/customers/{part(stripe_id)}", expand))

    def every_customer(self) -> Iterator[Customer]:
        """The account's customers, the newest first, without their cards."""
        return (Customer.read(data) for data in self._list("/v1/customers", {"limit": PAGE}))

    def saved_method(self, customer: str) -> SavedMethod | None:
        """The customer's default payment method, else their newest card; None where nothing is saved."""
        expand = {"expand": ["invoice_settings.default_payment_method"]}
        settings = self._ask("get", f"/v1/customers/{part(customer)}", expand).get("invoice_settings") or {}
        if settings.get("default_payment_method"):
            return SavedMethod.read(settings["default_payment_method"])
        page = self._ask("get", "/v1/payment_methods", {"customer": customer, "type": "card", "limit": 1})
        return SavedMethod.read(page["data"][0]) if page["data"] else None

    def test_clock(self, clock_id: str) -> Clock:
        """The test clock as it is now."""
        return Clock.read(self._ask("get", f"/v1/test_helpers/test_clocks/{part(clock_id)}"))

    # Stripe's own portal

    def create_portal_session(self, params: Params) -> str:
        """POST /v1/billing_portal/sessions: the address of Stripe's portal for a customer."""
        return str(self._ask("post", "/v1/billing_portal/sessions", params)["url"])

    def portal_configuration(self, configuration_id: str) -> PortalConfiguration:
        """The configuration as it is now."""
        path = f"/v1/billing_portal/configurations/{part(configuration_id)}"
        return PortalConfiguration.read(self._ask("get", path))

    def portal_configurations(self) -> Iterator[PortalConfiguration]:
        """The account's active configurations, the newest first."""
        params = {"active": True, "limit": PAGE}
        return (PortalConfiguration.read(data) for data in self._list("/v1/billing_portal/configurations", params))

    def create_portal_configuration(self, params: Params, idempotency_key: str) -> PortalConfiguration:
        """POST /v1/billing_portal/configurations."""
        path = "/v1/billing_portal/configurations"
        return PortalConfiguration.read(self._ask("post", path, params, idempotency_key))

    def update_portal_configuration(self, configuration_id: str, params: Params) -> PortalConfiguration:
        """POST /v1/billing_portal/configurations/{id}."""
        path = f"/v1/billing_portal/configurations/{part(configuration_id)}"
        return PortalConfiguration.read(self._ask("post", path, params))
