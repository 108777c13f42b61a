"""What a Checkout Session or Payment Link sells: its lines, and what the buyer may change about them."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.api.wire import missing_parameter
from portal.sandbox.domain.checkout import totals
from portal.sandbox.domain.pricing import tax_rates
from portal.sandbox.resources.common import given
from portal.sandbox.resources.prices import new_price

Json = dict[str, Any]
MOST = 99  # of an adjustable quantity, unless the seller allows more
MOST_EVER = 999_999


def kept_line(account: Account, item: Json, number: int) -> Json:
    """Return a line item as the session stores it; an inline price is created. Raises StripeError."""
    at = f"line_items[{number}]"
    if item.get("price_data"):
        data = given(item["price_data"])
        price = new_price(account, data)
    elif item.get("price"):
        price = account.find("price", item["price"], f"{at}[price]")
    else:
        raise missing_parameter(f"{at}[price]")
    require_active(price, at)
    quantity = item.get("quantity")
    metered = price["recurring"] and price["recurring"]["usage_type"] == "metered"
    if quantity is None and not metered:
        words = "Quantity is required. Add `quantity` to `line_items[0]`".replace("[0]", f"[{number}]")
        raise StripeError(words, code="parameter_missing", param=f"{at}[quantity]")
    rates = tax_rates.named(account, item.get("tax_rates"), f"{at}[tax_rates]")
    kept = {"id": account.new_id("item"), "price": price["id"], "quantity": quantity or 0, "tax_rates": rates}
    return kept | {"adjustable_quantity": limits(item, at)}


def require_active(price: Json, at: str) -> None:
    """Raise StripeError for an archived price."""
    if not price["active"]:
        words = "The price specified is inactive. This field only accepts active prices."
        raise StripeError(words, param=f"{at}[price]")


def limits(item: Json, at: str) -> Json | None:
    """Return how far the buyer may change a quantity, None if not at all. Raises StripeError."""
    asked = given(item.get("adjustable_quantity") or {})
    if not asked.get("enabled"):
        return None
    least, most = asked.get("minimum", 0), asked.get("maximum", MOST)
    at = f"{at}[adjustable_quantity]"
    if most > MOST_EVER:
        raise StripeError(f"This value must be less than or equal to {MOST_EVER}.", param=f"{at}[maximum]")
    if not least <= (item.get("quantity") or 0) <= most:
        raise StripeError("`quantity` must be between `minimum` and `maximum`.", param=at)
    return {"enabled": True, "minimum": least, "maximum": most}


def optional_items(account: Account, params: Json, mode: str) -> list[Json]:
    """Return what the buyer may add, as a session or link shows it. Raises StripeError."""
    found = []
    for number, item in enumerate(params.get("optional_items") or []):
        at = f"optional_items[{number}]"
        price = account.find("price", item["price"], f"{at}[price]")
        require_active(price, at)
        if mode == "payment" and price["recurring"]:
            words = "You can only use one-time prices as `optional_items` in `payment` mode."
            raise StripeError(words, param=f"{at}[price]")
        shown = {"price": price["id"], "quantity": item["quantity"]}
        found.append(shown | {"adjustable_quantity": limits(given(item), at)})
    return found


def check_lines(account: Account, mode: str, lines: list[Json]) -> None:
    """Check that recurring prices are only in subscriptions. Raises StripeError."""
    recurring = [line for line in lines if account.find("price", line["price"])["recurring"]]
    if mode == "subscription" and not recurring:
        words = "You must provide at least one recurring price in `subscription` mode when using prices."
        raise StripeError(words, param="line_items")
    if mode == "payment" and recurring:
        words = (
            "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode "
            "or use only one-time prices."
        )
        raise StripeError(words, param="mode")
    if mode == "payment" and not lines:
        raise missing_parameter("line_items")
    if mode == "setup" and lines:
        raise StripeError("You cannot pass `line_items` in `setup` mode.", param="line_items")


def not_taken(session: Json) -> list[Json]:
    """Return the optional items of a session that the buyer has not added."""
    taken = {line["price"] for line in session["_"]["line_items"] if line.get("optional")}
    return [item for item in session["optional_items"] or [] if item["price"] not in taken]


def take(account: Account, session: Json, price: str) -> Json:
    """Add an optional item to what the buyer pays. Raises StripeError for one that is not offered."""
    item = next((one for one in not_taken(session) if one["price"] == price), None)
    if item is None:
        raise StripeError("This is not offered here.", param="item")
    line = item | {"id": account.new_id("item"), "tax_rates": [], "optional": True}
    return sold(account, session, [*session["_"]["line_items"], line])


def change_quantity(account: Account, session: Json, line: str, quantity: int) -> Json:
    """Set the quantity that the buyer chose; none at all removes the line. Raises StripeError."""
    lines = session["_"]["line_items"]
    chosen: Json = next((one for one in lines if one["id"] == line), {})
    allowed = chosen.get("adjustable_quantity")
    removed = chosen.get("optional") and quantity == 0
    if not removed and not (allowed and allowed["minimum"] <= quantity <= allowed["maximum"]):
        words = f"Enter a number from {allowed['minimum']} to {allowed['maximum']}." if allowed else "It is fixed."
        raise StripeError(words, param=line)
    kept = [
        one | {"quantity": quantity} if one is chosen else one for one in lines if one is not chosen or quantity
    ]
    if not kept:
        raise StripeError("Enter 1 or more: nothing else is in this order.", param=line)
    check_lines(account, session["mode"], kept)
    return sold(account, session, kept)


def sold(account: Account, session: Json, lines: list[Json]) -> Json:
    """Store a session's lines, with its totals."""
    session["_"]["line_items"] = lines
    totals.compute(account, session)
    status = "unpaid" if session["amount_total"] else "no_payment_required"
    return account.save(session | {"payment_status": status})
