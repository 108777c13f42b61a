"""What a JSON call takes and answers, noted on its view by the decorators that see to it.

A call is written so, and is then in `/api/openapi.json` and on `/api/docs` by itself:

    @blueprint.post("/spend")
    @caller_required("spend", limit="3000/minute")  # portal.callers: who may call, and how often
    @takes(Spend)                                   # portal.inputs: a JSON body; `asks(Page)` for a query string
    @answers(Spent, TooFewCredits)                  # portal.answers: what it gives, and its own refusals
    def spend(body: Spend) -> Spent:
        \"\"\"Take credits. The first sentence is the call's title, the rest its description.\"\"\"

Where something else proves who calls, note it: `calls.note(view, by=("session", "bearer"))`.
Models, fields and docstrings are the documentation: describe a field with `Field(description=…, examples=[…])`.
Its blueprint is registered by `calls.register`, and its path written as the contract has it: /api/v1 becomes
API_PREFIX there.
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
Refusal = type[PortalError] | int  # an error of ours, or a status that Werkzeug answers by itself
View = Callable[..., Any]
T = TypeVar("T", bound=View)
# A customer's key or access token, an operator key, a browser's cookie, Stripe's signature.
Proof = Literal["bearer", "operator", "session", "signature"]


@dataclass(frozen=True)
class Call:
    """One JSON call. Any of `by` proves who calls (none: nobody is asked); `scope` is what a key needs,
    `operator_scope` what an operator key does."""

    by: tuple[Proof, ...] = ()
    scope: str | None = None
    operator_scope: str | None = None
    is_counted: bool = False  # by portal.rates; Flask-Limiter has nothing to do with it
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    headers: tuple[tuple[str, str], ...] = ()  # name and meaning of those that may be sent
    answer: type[BaseModel] | None = None
    refusals: tuple[Refusal, ...] = ()


def note(view: View, *, refusals: tuple[Refusal, ...] = (), **facts: Any) -> None:
    """Add to what is known of a view's call; the wrappers around it inherit what stands there."""
    known = of(view) or Call()
    view.call = replace(known, refusals=known.refusals + refusals, **facts)  # type: ignore[attr-defined]


def reads(header: str, words: str) -> Callable[[T], T]:
    """Say that a view reads a header of the request, and what it means."""

    def decorate(view: T) -> T:
        note(view, headers=((header, words),))
        return view

    return decorate


def of(view: View | None) -> Call | None:
    """What is known of a view's call; None for a view that is a page."""
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
