"""Validation of `next`: only paths of this portal are allowed."""

import re

# One slash, then printable ASCII without a backslash: browsers treat `//host`, `/\host` and, after dropping tabs
# and newlines, `/<tab>/host` as another host.
LOCAL_PATH = re.compile(r"/(?!/)[\x21-\x5b\x5d-\x7e]*")
MAX_LENGTH = 2048


def local_path(value: str | None, default: str) -> str:
    """Return the value if it is a path (and query) on this host, else the default."""
    if value and len(value) <= MAX_LENGTH and LOCAL_PATH.fullmatch(value):
        return value
    return default
