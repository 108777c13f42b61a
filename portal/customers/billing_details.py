"""A customer's billing details, which Stripe prints on every later invoice: company, address and tax id."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from portal import audit, gateway
from portal.customers import stripe_customers
from portal.errors import InvalidInput, StripeRefused
from portal.extensions import db
from portal.models import Customer, StripeCustomer
from portal.sync import idempotency

NOTHING = "Nothing was changed."
UNKNOWN = "resource_missing"
TAX_ID_TYPES = gateway.TAX_ID_TYPES
ADDRESS = gateway.ADDRESS
VERIFIED = {
    "verified": "Verified",
    "pending": "Being verified",
    "unverified": "Not verified: please check it",
}


@dataclass(frozen=True)
class Details:
    """The details. `address` has the parts that are known, named as in gateway.ADDRESS."""

    name: str = ""
    address: dict[str, str] = field(default_factory=dict)
    tax_id_type: str = ""
    tax_id: str = ""
    verified: str = ""  # whether the tax id is, as text; empty if nobody checks it


def stored(name: StripeCustomer | None) -> Details:
    """Return the details as our copy has them."""
    return _read(name.details) if name else Details()


def _read(details: dict[str, Any]) -> Details:
    tax: dict[str, str] = next(iter(details.get("tax_ids", ())), {})
    return Details(
        details.get("name", ""),
        details.get("address", {}),
        tax.get("type", ""),
        tax.get("value", ""),
        VERIFIED.get(tax.get("status", ""), ""),
    )


def current(customer: Customer | None) -> Details:
    """Return the details as Stripe has them now. Ends the transaction. Raises StripeUnavailable."""
    name = stripe_customers.current(customer) if customer else None
    known = (name.mode, name.stripe_id) if name else None
    db.session.commit()
    if known is None or known[1] is None:
        return Details()
    return _read(stripe_customers.details_of(gateway.of(known[0]).customer(known[1])))


def save(customer: Customer, wanted: Details, nonce: str) -> None:
    """Set the details of a customer at Stripe, under each of its ids there. Can be repeated; commits.

    `nonce` is that of the form: submitting it twice adds a tax id once. Raises InvalidInput with Stripe's
    objections by field, StripeUnavailable.
    """
    stripe_id = stripe_customers.at_stripe(customer)
    query = select(StripeCustomer).filter_by(customer_id=customer.id, deleted_at=None)
    names = db.session.execute(query.order_by(~StripeCustomer.is_current)).scalars().all()
    db.session.commit()
    for name in names:
        if name.stripe_id is not None:
            _save(name, name.stripe_id, wanted, nonce)
    audit.record("billing_details.changed", customer_id=customer.id, subject=stripe_id)
    db.session.commit()


def _save(name: StripeCustomer, stripe_id: str, wanted: Details, nonce: str) -> None:
    lane = gateway.of(name.mode)
    mode = name.mode
    try:
        known = lane.customer(stripe_id).tax_ids
        replaced = _set_tax_id(lane, name, known, wanted, nonce)
        # Parts that are left out stay as they are at Stripe, so that each is sent.
        address: Any = {one: wanted.address.get(one, "") for one in ADDRESS} if wanted.address else ""
        lane.update_customer(stripe_id, {"name": wanted.name, "address": address})
        for one in replaced:
            _delete(lane, stripe_id, one)
    except StripeRefused as refused:
        raise _objection(refused) from refused
    finally:
        stripe_customers.sync(mode, stripe_id)


def _set_tax_id(
    lane: gateway.Lane, name: StripeCustomer, known: tuple[gateway.TaxId, ...], wanted: Details, nonce: str
) -> list[gateway.TaxId]:
    """Add the tax id unless it is there, and return those that it replaces. Commits its claim."""
    stripe_id = name.stripe_id
    assert stripe_id is not None
    if any(_is(one, wanted) for one in known):
        return []
    if not wanted.tax_id:
        return list(known[:1])
    params = {"type": wanted.tax_id_type, "value": wanted.tax_id}

    def found(_named: str) -> gateway.TaxId | None:
        return next((one for one in lane.customer(stripe_id).tax_ids if _is(one, wanted)), None)

    idempotency.call(name, lambda key: lane.create_tax_id(stripe_id, params, key), f"tax-id-{nonce}", find=found)
    return list(known[:1])


def _is(one: gateway.TaxId, wanted: Details) -> bool:
    return (one.type, one.value) == (wanted.tax_id_type, wanted.tax_id)


def _delete(lane: gateway.Lane, stripe_id: str, tax_id: gateway.TaxId) -> None:
    try:
        lane.delete_tax_id(stripe_id, tax_id.id)
    except StripeRefused as refused:
        if refused.stripe_code != UNKNOWN:
            raise


def _objection(refused: StripeRefused) -> InvalidInput:
    """Return Stripe's refusal as an error beside its field."""
    if refused.stripe_code == "tax_id_invalid" or refused.param in ("value", "type"):
        words = "Stripe does not accept this number for this kind of tax ID."
        return InvalidInput(words, errors={"tax_id": words}, money=NOTHING)
    named = refused.param.removeprefix("address[").removesuffix("]")
    words = "Stripe does not accept this."
    return InvalidInput(words, errors={named if named in ADDRESS else "name": words}, money=NOTHING)
