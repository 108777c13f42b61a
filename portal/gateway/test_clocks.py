"""Test clocks, which simulate the passing of time."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from portal.gateway.calls import Calls, Params, part
from portal.gateway.fields import Json


@dataclass(frozen=True)
class Clock:
    """A test clock and its time. `status` is ready, advancing or internal_failure."""

    id: str
    frozen_at: datetime
    status: str

    @classmethod
    def read(cls, data: Json) -> Self:
        """Read an object from /v1/test_helpers/test_clocks."""
        return cls(data["id"], datetime.fromtimestamp(data["frozen_time"], UTC), data["status"])


class TestClockCalls(Calls):
    """The calls for test clocks."""

    def test_clock(self, clock_id: str) -> Clock:
        """Fetch the test clock as it is now."""
        return Clock.read(self._ask("get", f"/v1/test_helpers/test_clocks/{part(clock_id)}"))

    def create_test_clock(self, params: Params, idempotency_key: str) -> Clock:
        """Call POST /v1/test_helpers/test_clocks."""
        return Clock.read(self._ask("post", "/v1/test_helpers/test_clocks", params, idempotency_key))

    def advance_test_clock(self, clock_id: str, frozen_time: int) -> Clock:
        """Advance a clock to this second since 1970. It is `advancing` until Stripe is done."""
        path = f"/v1/test_helpers/test_clocks/{part(clock_id)}/advance"
        return Clock.read(self._ask("post", path, {"frozen_time": frozen_time}))

    def delete_test_clock(self, clock_id: str) -> None:
        """Delete a clock. Stripe also deletes its customers and everything they own."""
        self._ask("delete", f"/v1/test_helpers/test_clocks/{part(clock_id)}")
