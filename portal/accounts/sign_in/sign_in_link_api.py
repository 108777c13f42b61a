"""Sign-in links, for the operator's own services."""

from datetime import datetime
from typing import Annotated

from flask import Blueprint, g
from pydantic import Field

from portal import mail
from portal.accounts.sign_in import sign_in_links
from portal.api.bodies import JsonBody, takes
from portal.api.operators import operator_required
from portal.api.responses import Answer, answers
from portal.errors import Conflict, NotFound
from portal.extensions import db

blueprint = Blueprint("sign_in_api", __name__, url_prefix="/api/v1")


class LinkWanted(JsonBody):
    """The account to sign in to, and the path to open."""

    customer: Annotated[
        str,
        Field(pattern=r"^[0-9]{1,18}$", description="The id that `/v1/receipt` returns.", examples=["42"]),
    ]
    next: Annotated[str, Field(max_length=2048, description="A path of the portal.", examples=["/billing"])] = (
        "/account"
    )


class SignInLinkMade(Answer):
    """A link for this customer's browser, for immediate use."""

    url: Annotated[str, Field(description="Works once. Treat it like a password: keep it out of logs.")]
    expires_at: datetime


@blueprint.post("/sign-in-links")
@operator_required("sign_in_links", limit="600/minute")
@takes(LinkWanted)
@answers(SignInLinkMade, NotFound, Conflict)
def make(body: LinkWanted) -> SignInLinkMade:
    """Create a link that signs a customer in once, within five minutes.

    For a "Billing" button in your product: redirect the customer's browser to `url`. They confirm with one click,
    and with their second factor if they have one. Staff accounts are refused.
    """
    link, raw = sign_in_links.make(int(body.customer), body.next, g.operator.key_id)
    url = mail.external("sign_in_links.follow", token=raw)
    db.session.commit()
    return SignInLinkMade(url=url, expires_at=link.expires_at)
