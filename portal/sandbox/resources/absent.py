"""Lists of objects that the sandbox doesn't create, which are always empty."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api import lists
from portal.sandbox.api.operations import operation

Json = dict[str, Any]
NEVER_MADE = ("/v1/entitlements/features",)


def serve_empty(path: str) -> None:
    """Register an empty list at a path."""

    @operation("GET", path)
    def index(account: Account, params: Json) -> Json:
        return lists.of([], path)


for path in NEVER_MADE:
    serve_empty(path)
