"""What a product's servers ask with a customer's API key."""

from datetime import datetime
from typing import Annotated, Literal

from flask import Blueprint, g
from pydantic import Field

from portal.answers import Answer, answers
from portal.callers import Caller, caller_required
from portal.errors import Unauthorised
from portal.keys import entitlements

blueprint = Blueprint("keys_api", __name__)
cached = Blueprint("entitlements_api", __name__, url_prefix="/api/v1")


class Entitlements(Answer):
    """What a customer may use now."""

    customer: Annotated[str, Field(description="The customer's id.", examples=["42"])]
    mode: Literal["live", "test"]
    status: Annotated[
        str, Field(description="A subscription's status, `free` or `suspended`.", examples=["active"])
    ]
    tier: Annotated[str, Field(description="The plan's tier.", examples=["pro"])]
    entitlements: Annotated[
        dict[str, bool | int | float | str],
        Field(
            description="Features and limits of the plan: true, a number or a text. What is left out is not had.",
            examples=[{"requests_per_month": 500000, "streaming": True, "support": "priority"}],
        ),
    ]
    credits: Annotated[int, Field(description="The balance; below zero it is owed.", examples=[5500])]


class KeyFacts(Answer):
    """The key that asked."""

    prefix: Annotated[str, Field(examples=["key_live_4fJq81Lz"])]
    name: Annotated[str, Field(examples=["Website"])]
    last_used_at: Annotated[datetime | None, Field(description="To the minute.")]
    expires_at: Annotated[datetime | None, Field(description="Null: never.")]


class Receipt(Entitlements):
    """What a customer may use now, and by which key."""

    key: KeyFacts


@blueprint.get("/v1/receipt")
@caller_required()
@answers(Receipt)
def receipt() -> Receipt:
    """Whose key this is, in which mode, and what it may use.

    Asked with an API key; an access token has no receipt.
    """
    caller: Caller = g.caller
    if caller.key_id is None:
        raise Unauthorised("Ask with an API key: an access token has no receipt.")
    key = KeyFacts(
        prefix=caller.prefix,
        name=caller.name,
        last_used_at=caller.last_used_at,
        expires_at=caller.expires_at,
    )
    return Receipt(**entitlements.of(caller), key=key)


@cached.get("/entitlements")
@caller_required()
@answers(Entitlements)
def current() -> Entitlements:
    """What the customer may use: the receipt's facts, for a product's servers to ask on every request."""
    return Entitlements(**entitlements.of(g.caller))
