"""Request bodies with size limits; JSON bodies and query strings, validated by a model with errors by field."""

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import wraps
from typing import IO, Annotated, Any, ClassVar, Concatenate, ParamSpec, TypeVar, cast

from flask import Flask, Request, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.utils import cached_property
from werkzeug.wsgi import LimitedStream

from portal.api import calls, slow_bodies
from portal.errors import InvalidInput, PortalError

Params = ParamSpec("Params")
Body = TypeVar("Body", bound="JsonBody")
Query = TypeVar("Query", bound="QueryString")
View = Callable[Params, ResponseReturnValue]
KEY = re.compile(r"[!-~]{1,200}")  # of an Idempotency-Key

# No control characters: PostgreSQL cannot store NUL, and the others are not readable.
Words = Annotated[str, StringConstraints(max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$")]


class BoundedStream(LimitedStream):
    """A body of unknown length. One byte beyond the limit is a 413, where Werkzeug would truncate the body."""

    def on_exhausted(self) -> None:
        if self._stream.read(1):
            raise RequestEntityTooLarge

    def readall(self) -> bytes:
        sent = super().readall()
        if self.is_exhausted:
            self.on_exhausted()
        return sent


class BoundedRequest(Request):
    """A request whose body has a deadline, in chunks a limit too, and whose JSON may be nested too deeply."""

    def __init__(self, environ: dict[str, Any], *more: Any, **named: Any) -> None:
        slow_bodies.limit(environ)
        super().__init__(environ, *more, **named)

    @cached_property
    def stream(self) -> IO[bytes]:
        found = super().stream
        if isinstance(found, LimitedStream) and self.content_length is None:
            return cast(IO[bytes], BoundedStream(found._stream, found.limit, is_max=True))
        return found

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """Return the parsed body. For invalid or too deeply nested JSON, raise BadRequest, or return None with
        `silent`.
        """
        try:
            return super().get_json(force=force, silent=silent, cache=cache)
        except RecursionError:
            return None if silent else self.on_json_loading_failed(ValueError("nested too deep"))


def init_app(app: Flask) -> None:
    """Limit the body of every request, in size and in time."""
    app.request_class = BoundedRequest


class JsonBody(BaseModel):
    """The base of all bodies. Values are not converted, and unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    exact: ClassVar[bool] = False  # whether its numbers are parsed as exact decimals

    @classmethod
    def refusal(cls, error: ValidationError, given: Any) -> PortalError:
        """Return the error for an invalid body."""
        return InvalidInput("Some fields were not accepted.", errors=by_field(error))


class Nothing(JsonBody):
    """A body without fields, which is optional."""


class QueryString(BaseModel):
    """The base of all query strings: texts that may be parsed as numbers. Unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def idempotency_key() -> str | None:
    """Return the request's Idempotency-Key, used as an order's nonce; None if there is none."""
    given = request.headers.get("Idempotency-Key")
    return None if given is None else nonce("api", given)


def nonce(source: str, given: str) -> str:
    """Return the nonce of an order from "api" or "form". Raises InvalidInput if it is not a short word."""
    if not KEY.fullmatch(given):
        words = "Use 1 to 200 letters, digits and signs, without spaces."
        raise InvalidInput(words, errors={"idempotency_key": words}, money="You were not charged.")
    return f"{source}:{given}"


def takes(model: type[Body]) -> Callable[[View[Concatenate[Body, Params]]], View[Params]]:
    """Parse a view's JSON body with this model. 415 for another type, 400 naming each invalid field.

    The body is optional if every field of the model is.
    """

    def decorate(view: View[Concatenate[Body, Params]]) -> View[Params]:
        @wraps(view)
        def reading(*args: Params.args, **kwargs: Params.kwargs) -> ResponseReturnValue:
            return view(read(model), *args, **kwargs)

        calls.note(reading, body=model, refusals=(InvalidInput, 413, 415))
        return reading

    return decorate


def text_sent(field: str) -> str:
    """Return a field's text in a JSON body or form, before either is validated; empty if there is none."""
    body = request.get_json(silent=True) if request.is_json else request.form
    given = body.get(field) if isinstance(body, Mapping) else None
    return given if isinstance(given, str) else ""


def asks(model: type[Query]) -> Callable[[View[Concatenate[Query, Params]]], View[Params]]:
    """Parse a view's query string with this model. 400 naming each invalid field."""

    def decorate(view: View[Concatenate[Query, Params]]) -> View[Params]:
        @wraps(view)
        def asking(*args: Params.args, **kwargs: Params.kwargs) -> ResponseReturnValue:
            return view(_query(model), *args, **kwargs)

        calls.note(asking, query=model, refusals=(InvalidInput,))
        return asking

    return decorate


def read(model: type[Body]) -> Body:
    """Return the request's body. Raises InvalidInput, UnsupportedMediaType."""
    sent = request.get_data()  # not content_length, which a chunked body lacks
    if sent and not request.is_json:
        raise UnsupportedMediaType
    given = _parsed(sent, exact=model.exact) if sent else {}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise model.refusal(error, given) from None


def _parsed(sent: bytes, *, exact: bool) -> Any:
    """Parse the JSON of a body. NaN and Infinity are not JSON, but parsed so that their field can be refused by
    name.
    """
    try:
        return json.loads(sent, parse_float=Decimal, parse_constant=Decimal) if exact else request.get_json()
    except (BadRequest, ValueError, RecursionError):
        raise InvalidInput("The body is not JSON.", errors={"body": "not JSON"}) from None


def _query(model: type[Query]) -> Query:
    try:
        return model.model_validate(request.args.to_dict())
    except ValidationError as error:
        raise InvalidInput("Some fields were not accepted.", errors=by_field(error)) from None


def by_field(error: ValidationError) -> dict[str, str]:
    """Return each invalid field, by its path, with the reason, but never with the given value."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return {".".join(str(part) for part in one["loc"]) or "body": one["msg"] for one in found}
