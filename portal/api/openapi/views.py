"""The OpenAPI document, and the page for people."""

from typing import Any

from flask import Blueprint, current_app, render_template
from flask.typing import ResponseReturnValue
from pydantic import RootModel

from portal.api.openapi import document, page
from portal.api.responses import answers
from portal.settings import current_settings

blueprint = Blueprint("openapi", __name__, url_prefix="/api")


class Document(RootModel[dict[str, Any]]):
    """An OpenAPI 3.1 document."""


@blueprint.get("/openapi.json")
@answers(Document)
def openapi() -> Document:
    """Return this API as an OpenAPI document."""
    return Document(_document())


@blueprint.get("/docs")
def docs() -> ResponseReturnValue:
    """Show the API documentation as a page."""
    return render_template("openapi/docs.html", rooms=page.rooms(_document()), document=_document())


def _document() -> dict[str, Any]:
    """Build the document once, because it does not change while the portal runs."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    known = app.extensions.get("openapi")
    if known is None:
        known = app.extensions["openapi"] = document.build(app, current_settings())
    return dict(known)
