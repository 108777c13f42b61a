"""The OpenAPI document, and the page that says the same to people."""

from typing import Any

from flask import Blueprint, current_app, render_template
from flask.typing import ResponseReturnValue
from pydantic import RootModel

from portal.answers import answers
from portal.openapi import document, page
from portal.settings import current_settings

blueprint = Blueprint("openapi", __name__, url_prefix="/api")


class Document(RootModel[dict[str, Any]]):
    """An OpenAPI 3.1 document."""


@blueprint.get("/openapi.json")
@answers(Document)
def openapi() -> Document:
    """This API as an OpenAPI document."""
    return Document(_document())


@blueprint.get("/docs")
def docs() -> ResponseReturnValue:
    """The same for people."""
    return render_template("openapi/docs.html", rooms=page.rooms(_document()), document=_document())


def _document() -> dict[str, Any]:
    """Made once: nothing in it changes while the portal runs."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    known = app.extensions.get("openapi")
    if known is None:
        known = app.extensions["openapi"] = document.build(app, current_settings())
    return dict(known)
