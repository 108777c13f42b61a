"""Sign-in for the JSON API: access tokens, and refresh tokens to renew them."""

from typing import Annotated, Literal

from flask import Blueprint
from pydantic import Field

from portal.accounts.forms import MAX_EMAIL
from portal.accounts.security import passwords
from portal.accounts.security.second_factor import WrongCode
from portal.accounts.sign_in import token_pairs
from portal.accounts.sign_in.token_pairs import Pair, RefreshRefused, SecondFactorRequired
from portal.accounts.users import SignInFailed
from portal.api.bodies import JsonBody, takes
from portal.api.responses import Answer, answers
from portal.extensions import limiter

blueprint = Blueprint("tokens_api", __name__, url_prefix="/api/auth")


class Credentials(JsonBody):
    """The fields of the sign-in page."""

    email: Annotated[str, Field(min_length=1, max_length=MAX_EMAIL, examples=["alice@example.com"])]
    password: Annotated[str, Field(min_length=1, max_length=passwords.MAX_LENGTH, examples=["your password"])]
    code: Annotated[
        str,
        Field(max_length=64, description="The code of the second factor, if there is one, or a recovery code."),
    ] = ""


class RefreshBody(JsonBody):
    """A refresh token, which works once."""

    refresh_token: Annotated[str, Field(min_length=1, max_length=4096)]


class Tokens(Answer):
    """An access token for calls, and a refresh token for the next pair."""

    access_token: str
    refresh_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105
    expires_in: Annotated[int, Field(description="The seconds until the access token expires.", examples=[900])]


@blueprint.post("/token")
@takes(Credentials)
@answers(Tokens, SignInFailed, SecondFactorRequired, WrongCode, 429)
def token(body: Credentials) -> Tokens:
    """Sign in and return an access and a refresh token, for live mode.

    Signing out everywhere and changing the password revoke them. Attempts are limited as on the sign-in page.
    """
    return _shown(token_pairs.sign_in(body.email, body.password, body.code))


@blueprint.post("/refresh")
@limiter.limit("60/minute")
@takes(RefreshBody)
@answers(Tokens, RefreshRefused, 429)
def refresh(body: RefreshBody) -> Tokens:
    """Return the next access and refresh token. A refresh token works once.

    If it is used again, it was stolen, and every token of its sign-in is revoked.
    """
    return _shown(token_pairs.refresh(body.refresh_token))


def _shown(pair: Pair) -> Tokens:
    return Tokens(access_token=pair.access, refresh_token=pair.refresh, expires_in=pair.expires_in)
