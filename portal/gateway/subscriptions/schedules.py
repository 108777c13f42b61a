"""Subscription schedules, which change subscriptions later or begin them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from portal.gateway.calls import PAGE, Calls, Params, part
from portal.gateway.fields import Json, id_of, ids_of, time


@dataclass(frozen=True)
class Phase:
    """One phase of a schedule, with its items in the form that Stripe accepts as parameters."""

    items: tuple[Json, ...]
    starts: datetime
    ends: datetime

    @classmethod
    def read(cls, data: Json) -> Self:
        """Read a phase from subscription_schedule.phases."""
        items = tuple(_item(one) for one in data["items"])
        starts, ends = time(data["start_date"]), time(data["end_date"])
        assert starts is not None
        assert ends is not None
        return cls(items, starts, ends)


def _item(data: Json) -> Json:
    """Return an item's price, quantity (absent for metered prices), discounts and tax rates."""
    item = {"price": id_of(data["price"]), "quantity": data.get("quantity")}
    own = {
        "discounts": [{"discount": one["discount"]} for one in data.get("discounts") or [] if one.get("discount")],
        "tax_rates": list(ids_of(data.get("tax_rates"))),
    }
    return {name: value for name, value in item.items() if value is not None} | {
        name: value for name, value in own.items() if value
    }


@dataclass(frozen=True)
class Schedule:
    """Scheduled changes of a subscription. `subscription` is the one that it belongs to, or belonged to until
    its release; None for one that has not started.
    """

    id: str
    status: str  # not_started, active, completed, released, canceled
    subscription: str | None
    customer: str | None
    phases: tuple[Phase, ...]
    coming: Phase | None  # the phase after the current one
    ends_at: datetime | None  # when it cancels its subscription; None if that continues

    @classmethod
    def read(cls, data: Json) -> Self:
        """Read an object from /v1/subscription_schedules."""
        phases = tuple(Phase.read(phase) for phase in data["phases"])
        current = data.get("current_phase")
        now = time(current["end_date"]) if current and data["status"] == "active" else None
        ends = phases[-1].ends if data.get("end_behavior") == "cancel" and phases else None
        return cls(
            id=data["id"],
            status=data["status"],
            subscription=id_of(data.get("subscription")) or data.get("released_subscription"),
            customer=id_of(data.get("customer")),
            phases=phases,
            coming=next((phase for phase in phases if now and phase.starts >= now), None),
            ends_at=ends if data["status"] in ("active", "not_started") else None,
        )


class ScheduleCalls(Calls):
    """The calls for subscription schedules."""

    def schedule(self, schedule_id: str) -> Schedule:
        """Fetch the schedule as it is now."""
        return Schedule.read(self._ask("get", f"/v1/subscription_schedules/{part(schedule_id)}"))

    def starting_schedules(self, customer: str) -> list[Schedule]:
        """List a customer's schedules that have not started, newest first."""
        listed: Iterator[dict[str, Any]] = self._list(
            "/v1/subscription_schedules", {"customer": customer, "scheduled": True, "limit": PAGE}
        )
        return [Schedule.read(data) for data in listed]

    def create_schedule(self, subscription_id: str, idempotency_key: str) -> Schedule:
        """Create a schedule from the subscription as it is. Raises StripeRefused if it already has one."""
        params = {"from_subscription": subscription_id}
        return Schedule.read(self._ask("post", "/v1/subscription_schedules", params, idempotency_key))

    def update_schedule(self, schedule_id: str, params: Params, idempotency_key: str) -> Schedule:
        """Call POST /v1/subscription_schedules/{id}."""
        path = f"/v1/subscription_schedules/{part(schedule_id)}"
        return Schedule.read(self._ask("post", path, params, idempotency_key))

    def release_schedule(self, schedule_id: str, idempotency_key: str) -> Schedule:
        """Release a schedule, so that the subscription continues as it is. Raises StripeRefused if the schedule
        has ended.
        """
        path = f"/v1/subscription_schedules/{part(schedule_id)}/release"
        return Schedule.read(self._ask("post", path, {}, idempotency_key))
