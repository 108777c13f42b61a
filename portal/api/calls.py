"""Facts about each JSON call, recorded on its view by the decorators that apply them.

A call that is written like this is automatically in `/api/openapi.json` and on `/api/docs`:

    @blueprint.post("/spend")
    @caller_required("spend", limit="3000/minute")  # portal.api.authentication: who may call, how often
    @takes(Spend)                                   # portal.api.bodies: JSON; `asks(Page)` for a query string
    @answers(Spent, TooFewCredits)                  # portal.api.responses: the response, and its own errors
    def spend(body: Spend) -> Spent:
        \"\"\"Take credits. The first sentence is the call's title, the rest its description.\"\"\"

For another kind of authentication, use `calls.note(view, by=("session", "bearer"))`. Models, fields and docstrings
are the documentation: describe a field with `Field(description=…, examples=[…])`. Register its blueprint with
`calls.register`, and write its path with /api/v1, which becomes API_PREFIX there.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from flask import Blueprint, Flask, current_app, request
from pydantic import BaseModel

from portal.errors import PortalError
from portal.extensions import csrf, limiter
from portal.settings import Settings

CONTRACT_PREFIX = "/api/v1"
Refusal = type[PortalError] | int  # an error of ours, or a status that Werkzeug returns itself
View = Callable[..., Any]
T = TypeVar("T", bound=View)
# A customer's key or access token, an operator key, a browser's cookie, Stripe's signature.
Proof = Literal["bearer", "operator", "session", "signature"]


@dataclass(frozen=True)
class Call:
    """One JSON call. Any of `by` authenticates it (none: it is public); `scope` is required of a key,
    `operator_scope` of an operator key.
    """

    by: tuple[Proof, ...] = ()
    scope: str | None = None
    operator_scope: str | None = None
    is_counted: bool = False  # by portal.api.rate_limits instead of Flask-Limiter
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    headers: tuple[tuple[str, str], ...] = ()  # name and description of optional headers
    answer: type[BaseModel] | None = None
    refusals: tuple[Refusal, ...] = ()


def note(view: View, *, refusals: tuple[Refusal, ...] = (), **facts: Any) -> None:
    """Add facts about a view's call; decorators that wrap the view keep them."""
    known = of(view) or Call()
    view.call = replace(known, refusals=known.refusals + refusals, **facts)  # type: ignore[attr-defined]


def reads(header: str, words: str) -> Callable[[T], T]:
    """Record that a view reads a request header, and its description."""

    def decorate(view: T) -> T:
        note(view, headers=((header, words),))
        return view

    return decorate


def of(view: View | None) -> Call | None:
    """Return the facts about a view's call; None for a page."""
    return getattr(view, "call", None)


@limiter.request_filter
def _is_counted() -> bool:
    call = of(current_app.view_functions.get(request.endpoint or ""))
    return call is not None and call.is_counted


def register(app: Flask, *blueprints: Blueprint) -> None:
    """Register blueprints of JSON calls. They read no cookie, so they need no CSRF token."""
    settings: Settings = app.extensions["settings"]
    for blueprint in blueprints:
        csrf.exempt(blueprint)
        path = blueprint.url_prefix or ""
        if path.startswith(CONTRACT_PREFIX):
            path = settings.api_prefix + path.removeprefix(CONTRACT_PREFIX)
        app.register_blueprint(blueprint, url_prefix=path or None)
