"""Signing in through the JSON API (seed 2): access tokens, and refresh tokens to keep them up."""

from typing import Annotated, Literal

from flask import Blueprint
from pydantic import Field

from portal.accounts import passwords, token_pairs
from portal.accounts.forms import MAX_EMAIL
from portal.accounts.people import SignInFailed
from portal.accounts.second_factor import WrongCode
from portal.accounts.token_pairs import Pair, RefreshRefused, SecondFactorRequired
from portal.answers import Answer, answers
from portal.extensions import limiter
from portal.inputs import JsonBody, takes

blueprint = Blueprint("tokens_api", __name__, url_prefix="/api/auth")


class Credentials(JsonBody):
    """What the sign-in page asks for."""

    email: Annotated[str, Field(min_length=1, max_length=MAX_EMAIL, examples=["alice@example.com"])]
    password: Annotated[str, Field(min_length=1, max_length=passwords.MAX_LENGTH, examples=["your password"])]
    code: Annotated[
        str, Field(max_length=64, description="Of the second factor, where there is one; or a recovery code.")
    ] = ""


class RefreshBody(JsonBody):
    """A refresh token, good once."""

    refresh_token: Annotated[str, Field(min_length=1, max_length=4096)]


class Tokens(Answer):
    """An access token for calls, and a refresh token for the next pair."""

    access_token: str
    refresh_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105
    expires_in: Annotated[int, Field(description="Seconds that the access token is good for.", examples=[900])]


@blueprint.post("/token")
@takes(Credentials)
@answers(Tokens, SignInFailed, SecondFactorRequired, WrongCode, 429)
def token(body: Credentials) -> Tokens:
    """Sign in for an access and a refresh token. They see live mode.

    Signing out everywhere and a new password end them. Tries are limited as on the sign-in page.
    """
    return _shown(token_pairs.sign_in(body.email, body.password, body.code))


@blueprint.post("/refresh")
@limiter.limit("60/minute")
@takes(RefreshBody)
@answers(Tokens, RefreshRefused, 429)
def refresh(body: RefreshBody) -> Tokens:
    """Get the next access and refresh token. A refresh token is good once.

    Used again it was stolen: every token of its sign-in ends.
    """
    return _shown(token_pairs.refresh(body.refresh_token))


def _shown(pair: Pair) -> Tokens:
    return Tokens(access_token=pair.access, refresh_token=pair.refresh, expires_in=pair.expires_in)
