"""JSON bodies, validated by a model and refused by field."""

import json
from collections.abc import Callable
from decimal import Decimal
from functools import wraps
from typing import Any, ClassVar, Concatenate, ParamSpec, TypeVar

from flask import request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, ValidationError
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from portal.errors import InvalidInput, PortalError

Params = ParamSpec("Params")
Body = TypeVar("Body", bound="JsonBody")


class JsonBody(BaseModel):
    """The root of all bodies: nothing is turned into another type, nothing unknown is taken."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    exact: ClassVar[bool] = False  # whether its numbers are read as decimals, digit by digit

    @classmethod
    def refusal(cls, error: ValidationError, given: Any) -> PortalError:
        """What a body is refused with that does not fit."""
        return InvalidInput("Some fields were not accepted.", errors=by_field(error))


def takes(
    model: type[Body],
) -> Callable[[Callable[Concatenate[Body, Params], ResponseReturnValue]], Callable[Params, ResponseReturnValue]]:
    """Give a view its JSON body as this model. 415 for another type, 400 naming each bad field.

    A body may be left out where every field of the model may.
    """

    def decorate(
        view: Callable[Concatenate[Body, Params], ResponseReturnValue],
    ) -> Callable[Params, ResponseReturnValue]:
        @wraps(view)
        def reading(*args: Params.args, **kwargs: Params.kwargs) -> ResponseReturnValue:
            return view(read(model), *args, **kwargs)

        return reading

    return decorate


def read(model: type[Body]) -> Body:
    """The request's body. Raises InvalidInput, UnsupportedMediaType."""
    sent = request.get_data()  # not content_length: a chunked body names none
    if sent and not request.is_json:
        raise UnsupportedMediaType
    given = _parsed(sent, exact=model.exact) if sent else {}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise model.refusal(error, given) from None


def _parsed(sent: bytes, *, exact: bool) -> Any:
    """The JSON of a body. NaN and its like are no JSON, but known: the field that has one is refused."""
    try:
        return json.loads(sent, parse_float=Decimal, parse_constant=Decimal) if exact else request.get_json()
    except (BadRequest, ValueError):
        raise InvalidInput("The body is not JSON.", errors={"body": "not JSON"}) from None


def by_field(error: ValidationError) -> dict[str, str]:
    """Each bad field, by its path, with what is wrong; never with the value that was given."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return {".".join(str(part) for part in one["loc"]) or "body": one["msg"] for one in found}
