"""Credits in the JSON API: the balance, its entries, and spending."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from flask import Blueprint, g
from pydantic import ConfigDict, Field, StringConstraints
from sqlalchemy import select

from portal import clock
from portal.api.authentication import caller_required
from portal.api.bodies import JsonBody, QueryString, Words, asks, takes
from portal.api.responses import Answer, Success, answers
from portal.credits import costs, grants, ledger
from portal.errors import InvalidInput
from portal.extensions import db
from portal.models import CreditEntry, Customer

blueprint = Blueprint("credits_api", __name__, url_prefix="/api/credits")

HIGHEST_ID = 2**63 - 1


class Page(QueryString):
    """Which entries of a list to return."""

    limit: Annotated[int, Field(ge=1, le=200, description="The maximum number of entries.")] = 50
    cursor: Annotated[int, Field(ge=1, le=HIGHEST_ID, description="The `next_cursor` of the page before.")] = (
        HIGHEST_ID
    )


class Spend(JsonBody):
    """Whole credits, or the cost of serving the call in dollars. The reference is the caller's own and works
    once.
    """

    amount: Annotated[int, Field(ge=1, le=10**12, description="In credits.", examples=[25])] | None = None
    cost: (
        Annotated[
            Decimal,
            Field(
                strict=False,
                gt=0,
                le=10**9,
                max_digits=24,
                decimal_places=12,
                description="In dollars, in place of `amount`: the catalogue's markup is added.",
            ),
        ]
        | None
    ) = None
    reference: Annotated[
        Words,
        StringConstraints(min_length=1),
        Field(
            description="Your own unique id of this spend; repeating it takes nothing more.", examples=["call-1"]
        ),
    ]
    description: Annotated[Words, Field(description="What it was for, for the history.")] = ""

    @property
    def credits(self) -> int:
        """Return the credits to take. Raises InvalidInput unless exactly one of the two was given."""
        if self.amount is not None and self.cost is None:
            return self.amount
        if self.cost is not None and self.amount is None:
            return costs.credits_for(self.cost)
        words = "give either amount or cost"
        raise InvalidInput("Give the amount in credits, or the cost.", errors={"amount": words, "cost": words})


class Expiring(Answer):
    """Credits that expire."""

    credits: int
    note: str
    expires_at: datetime


class Balance(Success):
    """The customer's credits."""

    balance: Annotated[int, Field(description="The balance; a negative balance is debt.", examples=[5500])]
    spendable: Annotated[int, Field(description="The part that can be spent now.", examples=[5500])]
    mode: Literal["live", "test"]
    expiring: list[Expiring]


class Entry(Answer):
    """A line of the ledger."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    amount: Annotated[int, Field(description="Credits; negative if they were taken.", examples=[-25])]
    balance_after: Annotated[int, Field(examples=[5475])]
    reason: Annotated[str, Field(examples=["spend"])]
    reference: str
    description: str
    created_at: datetime


class Transactions(Success):
    """A page of the ledger."""

    transactions: list[Entry]
    next_cursor: Annotated[str | None, Field(description="The cursor of older entries; null if there are none.")]


class Spent(Success):
    """The remaining credits, and the ledger's entry."""

    balance: int
    transaction: Entry


@blueprint.get("/balance")
@caller_required()
@answers(Balance)
def balance() -> Balance:
    """Return the customer's credits, how many can be spent now, and how many expire when."""
    customer_id: int = g.caller.customer_id
    now = clock.now(db.session.execute(select(Customer.clock_at).filter_by(id=customer_id)).scalar_one())
    open_grants = [grant for grant in grants.still_open(customer_id) if grant.expires_at > now]
    return Balance(
        balance=g.caller.credit_balance,
        spendable=ledger.spendable(customer_id),
        mode=g.caller.mode,
        expiring=[
            Expiring(credits=grant.remaining, note=grant.note, expires_at=grant.expires_at)
            for grant in open_grants
        ],
    )


@blueprint.get("/transactions")
@caller_required()
@asks(Page)
@answers(Transactions)
def transactions(page: Page) -> Transactions:
    """List the ledger's entries, newest first."""
    query = select(CreditEntry).filter_by(customer_id=g.caller.customer_id).where(CreditEntry.id < page.cursor)
    found = db.session.execute(query.order_by(CreditEntry.id.desc()).limit(page.limit + 1)).scalars().all()
    shown = found[: page.limit]
    return Transactions(
        transactions=[Entry.model_validate(entry) for entry in shown],
        next_cursor=str(shown[-1].id) if len(found) > page.limit else None,
    )


@blueprint.post("/spend")
@caller_required("spend")
@takes(Spend)
@answers(Spent, ledger.InsufficientCredits, ledger.ReferenceReused)
def spend(body: Spend) -> Spent:
    """Take credits. Repeating a reference returns the same response and takes nothing. 402 if there are too
    few.
    """
    entry = ledger.spend(g.caller.customer_id, body.credits, body.reference, body.description)
    db.session.commit()
    return Spent(balance=entry.balance_after, transaction=Entry.model_validate(entry))
