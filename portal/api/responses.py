"""Responses of JSON calls: models, whose types are checked in the code and described in the documentation."""

from collections.abc import Callable
from functools import wraps
from typing import Annotated, Literal, ParamSpec, TypeVar

from flask import Response, request
from pydantic import BaseModel, ConfigDict, Field

from portal.api import calls

Params = ParamSpec("Params")
Given = TypeVar("Given", bound=BaseModel)


class Answer(BaseModel):
    """The base of all responses. Times are aware UTC, formatted as RFC 3339."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Success(Answer):
    """A response under /api/credits, whose clients expect `success`."""

    success: Literal[True] = True


class State(Answer):
    """The state of an order, as the waiting page names it."""

    state: Annotated[str, Field(examples=["pending"])]


class Problem(BaseModel):
    """The response of `portal.errors` for every error (RFC 9457). Some errors add fields of their own."""

    model_config = ConfigDict(extra="allow")

    status: Annotated[int, Field(examples=[400])]
    title: Annotated[str, Field(examples=["Please check what you entered"])]
    detail: Annotated[str, Field(description="The problem and what to do about it.")]
    code: Annotated[str, Field(description="For programs; it never changes.", examples=["invalid_input"])]
    request_id: Annotated[str, Field(description="Tell it to support; also in `X-Request-Id`.")]
    errors: Annotated[dict[str, str], Field(description="Invalid input, by field.")] = {}


def answers(
    model: type[Given], *refusals: calls.Refusal
) -> Callable[[Callable[Params, Given]], Callable[Params, Response]]:
    """Send a view's result as JSON. `refusals` are its own errors; those of authentication and input are added."""

    def decorate(view: Callable[Params, Given]) -> Callable[Params, Response]:
        @wraps(view)
        def answering(*args: Params.args, **kwargs: Params.kwargs) -> Response:
            return send(view(*args, **kwargs))

        calls.note(answering, answer=model, refusals=refusals)
        return answering

    return decorate


def cached(seconds: int) -> Callable[[Callable[Params, Response]], Callable[Params, Response]]:
    """Allow everyone to keep a public view's response for so long, and answer 304 to whoever has it already."""

    def decorate(view: Callable[Params, Response]) -> Callable[Params, Response]:
        @wraps(view)
        def answering(*args: Params.args, **kwargs: Params.kwargs) -> Response:
            response = view(*args, **kwargs)
            response.cache_control.public = True
            response.cache_control.max_age = seconds
            response.add_etag()
            response.make_conditional(request)
            return response

        return answering

    return decorate


def send(given: BaseModel) -> Response:
    """Return the model as a JSON response."""
    return Response(given.model_dump_json(by_alias=True), mimetype="application/json")
