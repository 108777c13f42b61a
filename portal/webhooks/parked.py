"""Why an event is parked: it is about an object that is not ours, or not yet."""

from portal.orders import unplaced_payments


class Parked(Exception):
    """The event is about an object that isn't ours, or not yet.

    `customer` is its owner at Stripe, if the object does not name one. Once that customer is ours, the event is
    handled.
    """

    def __init__(self, reason: str, customer: str | None = None) -> None:
        super().__init__(reason)
        self.customer = customer


class Unplaced(Parked):
    """The event is about a payment that arrived here without an order, so an admin has to be told."""

    def __init__(self, found: unplaced_payments.Unplaced) -> None:
        price = f"the price {found.price.id}" if found.price else "its price"
        super().__init__(f"no order of ours is behind {found.session.id}: {price} gives no plan")
        self.found = found
