"""The balance, its entries, and spending, for a product's servers (seed 3)."""

from decimal import Decimal
from typing import Annotated

from flask import Blueprint, g, request
from flask.typing import ResponseReturnValue
from pydantic import Field, StringConstraints
from sqlalchemy import select

from portal import callers, clock
from portal.callers import api_key_required
from portal.credits import costs, grants, ledger
from portal.errors import InvalidInput
from portal.extensions import db, limiter
from portal.inputs import JsonBody, takes
from portal.models import CreditEntry
from portal.pages import rfc3339

blueprint = Blueprint("credits_api", __name__, url_prefix="/api/credits")

PER_KEY = "3000/minute"  # a spend with every request of a product
PAGE, MOST = 50, 200
HIGHEST_ID = 2**63 - 1

# No control characters: PostgreSQL cannot store NUL, and nobody can read the others.
Words = Annotated[str, StringConstraints(max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Spend(JsonBody):
    """Whole credits, or what serving the call cost in dollars; the reference is the caller's own, used once."""

    amount: Annotated[int, Field(ge=1, le=10**12)] | None = None
    cost: Annotated[Decimal, Field(strict=False, gt=0, le=10**9, max_digits=24, decimal_places=12)] | None = None
    reference: Annotated[Words, StringConstraints(min_length=1)]
    description: Words = ""

    @property
    def credits(self) -> int:
        """What is to be taken. Raises InvalidInput unless exactly one of the two was given."""
        if self.amount is not None and self.cost is None:
            return self.amount
        if self.cost is not None and self.amount is None:
            return costs.credits_for(self.cost)
        words = "give either amount or cost"
        raise InvalidInput("Give the amount in credits, or the cost.", errors={"amount": words, "cost": words})


@blueprint.get("/balance")
@api_key_required
@limiter.limit(PER_KEY, key_func=callers.key)
def balance() -> ResponseReturnValue:
    """What the customer has, what of it can be spent now, and what of it expires when."""
    now = clock.now()
    customer_id: int = g.caller.customer_id
    return {
        "success": True,
        "balance": g.caller.credit_balance,
        "spendable": ledger.spendable(customer_id, now),
        "mode": g.caller.mode,
        "expiring": [
            {"credits": grant.remaining, "note": grant.note, "expires_at": rfc3339(grant.expires_at)}
            for grant in grants.still_open(customer_id)
            if grant.expires_at > now
        ],
    }


@blueprint.get("/transactions")
@api_key_required
@limiter.limit(PER_KEY, key_func=callers.key)
def transactions() -> ResponseReturnValue:
    """The ledger's entries, newest first; `next_cursor` leads to older ones, null where there are none."""
    limit = _whole("limit", PAGE, MOST)
    query = select(CreditEntry).filter_by(customer_id=g.caller.customer_id)
    query = query.where(CreditEntry.id < _whole("cursor", HIGHEST_ID, HIGHEST_ID))
    found = db.session.execute(query.order_by(CreditEntry.id.desc()).limit(limit + 1)).scalars().all()
    shown = found[:limit]
    return {
        "success": True,
        "transactions": [_shown(entry) for entry in shown],
        "next_cursor": str(shown[-1].id) if len(found) > limit else None,
    }


@blueprint.post("/spend")
@api_key_required
@limiter.limit(PER_KEY, key_func=callers.key)
@takes(Spend)
def spend(body: Spend) -> ResponseReturnValue:
    """Take credits. The same reference again answers the same and takes nothing; 402 where there are too few."""
    entry = ledger.spend(g.caller.customer_id, body.credits, body.reference, body.description)
    db.session.commit()
    return {"success": True, "balance": entry.balance_after, "transaction": _shown(entry)}


def _whole(name: str, default: int, most: int) -> int:
    """A whole number from 1 of the query string. Raises InvalidInput."""
    given = request.args.get(name, "")
    if not given:
        return default
    if not (given.isascii() and given.isdigit() and len(given) <= len(str(most)) and 1 <= int(given) <= most):
        raise InvalidInput(f"That is no {name} of ours.", errors={name: f"not a whole number from 1 to {most}"})
    return int(given)


def _shown(entry: CreditEntry) -> dict[str, object]:
    return {
        "id": entry.id,
        "amount": entry.amount,
        "balance_after": entry.balance_after,
        "reason": entry.reason,
        "reference": entry.reference,
        "description": entry.description,
        "created_at": rfc3339(entry.created_at),
    }
