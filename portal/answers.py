"""What a JSON call gives: a model, so that its type is checked where it is made and described where it is read."""

from collections.abc import Callable
from functools import wraps
from typing import Annotated, Literal, ParamSpec, TypeVar

from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from portal import calls

Params = ParamSpec("Params")
Given = TypeVar("Given", bound=BaseModel)


class Answer(BaseModel):
    """The root of all answers. Times in them are aware UTC, written as RFC 3339."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Success(Answer):
    """An answer on seed 3's paths, whose callers look for `success`."""

    success: Literal[True] = True


class State(Answer):
    """Where an order stands, in the words of the page that waits for it."""

    state: Annotated[str, Field(examples=["pending"])]


class Problem(BaseModel):
    """What `portal.errors` answers for every refusal (RFC 9457); some errors add members of their own."""

    model_config = ConfigDict(extra="allow")

    status: Annotated[int, Field(examples=[400])]
    title: Annotated[str, Field(examples=["Please check what you entered"])]
    detail: Annotated[str, Field(description="What to do about it, in plain words.")]
    code: Annotated[str, Field(description="For programs; it never changes.", examples=["invalid_input"])]
    request_id: Annotated[str, Field(description="Tell it to support; also in `X-Request-Id`.")]
    errors: Annotated[dict[str, str], Field(description="Bad input by field.")] = {}


def answers(
    model: type[Given], *refusals: calls.Refusal
) -> Callable[[Callable[Params, Given]], Callable[Params, Response]]:
    """Send what a view gives as JSON. `refusals` are its own errors; who calls and what they sent is seen to."""

    def decorate(view: Callable[Params, Given]) -> Callable[Params, Response]:
        @wraps(view)
        def answering(*args: Params.args, **kwargs: Params.kwargs) -> Response:
            return send(view(*args, **kwargs))

        calls.note(answering, answer=model, refusals=refusals)
        return answering

    return decorate


def send(given: BaseModel) -> Response:
    """The model as a JSON response."""
    return Response(given.model_dump_json(by_alias=True), mimetype="application/json")
