"""Operator keys for tests."""

from datetime import datetime
from typing import Any

import requests

from portal.extensions import db
from portal.keys import operator_keys
from tests.support.world import World


def operator_key(here: World, *scopes: str, expires_at: datetime | None = None) -> str:
    """Create an operator key with these scopes, and return its secret."""
    with here.app.app_context():
        _, secret = operator_keys.create("Gateway", scopes, expires_at)
        db.session.commit()
        db.session.remove()
    return secret


def ask(here: World, method: str, path: str, key: str, **kwargs: Any) -> requests.Response:
    """Call the JSON API with this key."""
    headers = {"Authorization": f"Bearer {key}"} | kwargs.pop("headers", {})
    return requests.request(method, here.base + path, headers=headers, timeout=30, **kwargs)
