"""A payload as it may be shown: without what is secret, and with what is personal cut short."""

import re
from typing import Any

import orjson

from portal.logs import MASK, mask

# What is somebody's, by the last words of a field's name: `billing_address`, `verified_name`. Behind a URL is a
# page of Stripe's that is open to everybody who knows it, and shows the rest.
PERSONAL = re.compile(
    r"(^|_)(address|billing_details|custom_fields|dob|id_number|ip|name|pdf|phone|secret|shipping|signature"
    r"|tax_ids|uncategorized_text|url)$"
)
# It begins where a word does: else a long word without an @ would be read anew from each of its characters.
MAIL = re.compile(r"(?<![^\s@<>\"(),:;])([^\s@<>\"(),:;])[^\s@<>\"(),:;]*(@[\w-]+\.[\w.-]+)")


def masked(payload: str) -> str:
    """The payload, indented: names, addresses, secrets and signatures replaced, mail addresses cut short."""
    return indented(_masked(orjson.loads(payload)))


def indented(value: Any) -> str:
    """JSON for people."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def mail(text: str) -> str:
    """The text with each mail address cut to its first letter: `a…@example.com`."""
    return MAIL.sub(r"\1…\2", text)


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: MASK if PERSONAL.search(key) and inner else _masked(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner) for inner in value]
    return mail(mask(value)) if isinstance(value, str) else value
