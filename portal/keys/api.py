"""The API that a product's servers call with a customer's API key."""

from datetime import datetime
from typing import Annotated, Literal

from flask import Blueprint, g
from pydantic import Field

from portal.api.authentication import Caller, caller_required
from portal.api.responses import Answer, answers
from portal.errors import Unauthorized
from portal.keys import entitlements

blueprint = Blueprint("keys_api", __name__)
cached = Blueprint("entitlements_api", __name__, url_prefix="/api/v1")


class IncludedUse(Answer):
    """What a month includes of a meter, or in credits, and how much of it is used."""

    included: Annotated[int, Field(examples=[50000])]
    used: Annotated[int | float, Field(description="Never more than `included`.", examples=[12480])]
    remaining: Annotated[int | float, Field(examples=[37520])]
    resets_at: Annotated[datetime, Field(description="When the next month begins.")]


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
            description="Features and limits of the plan: true, a number or a text. Omitted ones are not granted.",
            examples=[{"requests_per_month": 500000, "streaming": True, "support": "priority"}],
        ),
    ]
    included: Annotated[
        dict[str, IncludedUse],
        Field(description="What the plan includes this month, by meter; `credits` are the included credits."),
    ]
    credits: Annotated[int, Field(description="The balance; a negative balance is debt.", examples=[5500])]
    cluster: Annotated[
        str | None,
        Field(description="Where its metered workloads run. Null: none is assigned.", examples=["eu-1"]),
    ] = None


class KeyFacts(Answer):
    """The API key of the request."""

    prefix: Annotated[str, Field(examples=["key_live_4fJq81Lz"])]
    name: Annotated[str, Field(examples=["Website"])]
    last_used_at: Annotated[datetime | None, Field(description="To the minute.")]
    expires_at: Annotated[datetime | None, Field(description="Null: never.")]


class Receipt(Entitlements):
    """What a customer may use now, and the API key of the request."""

    key: KeyFacts


@blueprint.get("/v1/receipt")
@caller_required()
@answers(Receipt)
def receipt() -> Receipt:
    """Return the API key's customer and mode, and what the customer may use.

    Requires an API key; an access token has no receipt.
    """
    caller: Caller = g.caller
    if caller.key_id is None:
        raise Unauthorized("Ask with an API key: an access token has no receipt.")
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
    """Return what the customer may use: the receipt's facts, for a product's servers to request on every call."""
    return Entitlements(**entitlements.of(g.caller))
