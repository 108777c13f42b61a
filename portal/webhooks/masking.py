"""A payload as it may be shown: without what is secret, and with what is personal cut short."""

import re
from typing import Any

import orjson

from portal.logs import MASK, mask

PERSONAL = {
    "address",
    "billing_details",
    "client_secret",
    "customer_address",
    "customer_name",
    "customer_phone",
    "customer_shipping",
    "name",
    "phone",
    "shipping",
}
MAIL = re.compile(r"([\w.+-])[\w.+-]*(@[\w-]+\.[\w.-]+)")


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
        return {key: MASK if key in PERSONAL and inner else _masked(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner) for inner in value]
    return mail(mask(value)) if isinstance(value, str) else value
