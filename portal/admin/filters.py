"""What the admin's templates say of facts, for people."""

import re
from datetime import datetime
from typing import Any

from flask import Flask

from portal.admin import dashboard
from portal.logs import mask
from portal.pages import datetime_text, whole_text
from portal.webhooks import masking

# Times in the audit log's facts, which are JSON.
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def fact(value: Any) -> str:
    """One fact of a change, in a word or a few; a mail address is cut short."""
    if value is None or value == "":
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return whole_text(value)
    if isinstance(value, list):
        return ", ".join(fact(one) for one in value) or "none"
    if isinstance(value, datetime):
        return datetime_text(value)
    if isinstance(value, str) and RFC3339.fullmatch(value):
        return datetime_text(datetime.fromisoformat(value))
    return masking.mail(mask(str(value)))


def init_app(app: Flask) -> None:
    """Register them."""
    app.jinja_env.filters.update(
        dashboard=dashboard.url,
        fact=fact,
        mask=lambda text: masking.mail(mask(text)),
    )
