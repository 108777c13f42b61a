"""Where a page of the dashboard is: an account, a mode, and a section. Paths are those of Stripe's Dashboard."""

from dataclasses import dataclass
from typing import Any

from flask import abort, url_for

from portal.sandbox.account import Account
from portal.sandbox.api.keys import tenants
from portal.sandbox.config import Mode
from portal.sandbox.tenants import Tenant


@dataclass(frozen=True)
class Place:
    """An account's mode, and the rest of the path: acct_acme/test/customers/cus_1 is customers/cus_1 of acme."""

    tenant: Tenant
    mode: Mode
    rest: str

    @property
    def account(self) -> Account:
        """Return the account in this mode."""
        return self.tenant.account(self.mode)

    def url(self, rest: str = "", mode: Mode | None = None, **query: Any) -> str:
        """Return the address of another page of the same account."""
        name = f"acct_{self.tenant.name}" if self.tenant.name else ""
        lane = "test" if (mode or self.mode) == "test" else ""
        address = "/".join(part for part in (name, lane, rest) if part)
        if not address:
            return url_for("dashboard.live", **query)
        return url_for("dashboard.show", address=address, **query)


def place_at(address: str) -> Place:
    """Return the place of a path, or raise 404 for an account that does not exist."""
    parts = address.split("/")
    name = parts.pop(0).removeprefix("acct_") if parts[0].startswith("acct_") else ""
    mode: Mode = "test" if parts and parts[0] == "test" else "live"
    if mode == "test":
        parts.pop(0)
    if name not in tenants().open:
        abort(404)
    return Place(tenants().of(name), mode, "/".join(parts))
