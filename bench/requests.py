"""What contestants are sent: Stripe's deliveries, signed, and pages asked for by a browser over https."""

import copy
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

from werkzeug.test import EnvironBuilder

BASE = "https://bench.example"
WEBHOOK_SECRET = "whsec_onlyForTheBench0123456789"
SUBSCRIPTION: dict[str, Any] = json.loads((Path(__file__).parent / "subscription.json").read_text())


def event(number: int) -> bytes:
    """A `customer.subscription.updated` about the one subscription, under an id of its own."""
    thing = copy.copy(SUBSCRIPTION)
    for expanded in ("customer", "default_payment_method"):
        thing[expanded] = thing[expanded]["id"]
    body = {
        "id": f"evt_bench_{number}",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": int(time.time()),
        "data": {"object": thing, "previous_attributes": {"metadata": {"note": None}}},
        "livemode": True,
        "pending_webhooks": 1,
        "request": {"id": f"req_bench_{number}", "idempotency_key": None},
        "type": "customer.subscription.updated",
    }
    return json.dumps(body).encode()


def delivery(path: str, number: int) -> dict[str, Any]:
    """The event as Stripe posts it."""
    body, now = event(number), int(time.time())
    digest = hmac.new(WEBHOOK_SECRET.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
    return EnvironBuilder(
        path=path,
        base_url=BASE,
        method="POST",
        data=body,
        content_type="application/json",
        headers={"Stripe-Signature": f"t={now},v1={digest}"},
    ).get_environ()


def page(path: str, **headers: str) -> dict[str, Any]:
    """A page as a browser, or a product's server, asks for it."""
    return EnvironBuilder(path=path, base_url=BASE, headers=headers).get_environ()
