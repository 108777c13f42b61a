"""The Stripe customer portal: its configurations and sessions."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from portal.gateway.calls import PAGE, Calls, Params, part
from portal.gateway.fields import Json


@dataclass(frozen=True)
class PortalConfiguration:
    """A configuration of the Stripe customer portal: what it offers in the sessions that use it."""

    id: str
    features: dict[str, Any]
    metadata: dict[str, str]

    @classmethod
    def read(cls, data: Json) -> Self:
        """Read an object from /v1/billing_portal/configurations."""
        return cls(data["id"], data["features"], data.get("metadata") or {})


class PortalCalls(Calls):
    """The calls for the Stripe customer portal."""

    def create_portal_session(self, params: Params) -> str:
        """Call POST /v1/billing_portal/sessions and return the URL of the portal for a customer."""
        return str(self._ask("post", "/v1/billing_portal/sessions", params)["url"])

    def portal_configuration(self, configuration_id: str) -> PortalConfiguration:
        """Fetch the configuration as it is now."""
        path = f"/v1/billing_portal/configurations/{part(configuration_id)}"
        return PortalConfiguration.read(self._ask("get", path))

    def portal_configurations(self) -> Iterator[PortalConfiguration]:
        """Yield the account's active configurations, newest first."""
        params = {"active": True, "limit": PAGE}
        return (PortalConfiguration.read(data) for data in self._list("/v1/billing_portal/configurations", params))

    def create_portal_configuration(self, params: Params, idempotency_key: str) -> PortalConfiguration:
        """Call POST /v1/billing_portal/configurations."""
        path = "/v1/billing_portal/configurations"
        return PortalConfiguration.read(self._ask("post", path, params, idempotency_key))

    def update_portal_configuration(self, configuration_id: str, params: Params) -> PortalConfiguration:
        """Call POST /v1/billing_portal/configurations/{id}."""
        path = f"/v1/billing_portal/configurations/{part(configuration_id)}"
        return PortalConfiguration.read(self._ask("post", path, params))
