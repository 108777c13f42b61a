"""One mode of the sandbox's account, as seen by one request: its objects, its time, its events."""

import secrets
import string
import time
from dataclasses import dataclass, field
from typing import Any

from portal.sandbox import spec
from portal.sandbox.api.errors import missing
from portal.sandbox.config import Config, Mode
from portal.sandbox.store import Store
from portal.sandbox.webhooks import events

Json = dict[str, Any]
ALPHABET = string.ascii_letters + string.digits
# By each byte a letter or digit: one call for a whole id, where a choice for each character takes 24.
LETTERS = (ALPHABET * 5).encode()[:256]
PREFIXES = {
    "balance_transaction": "txn_",
    "billing.meter": "mtr_",
    "billing.meter_event": "mevt_",
    "billing_portal.configuration": "bpc_",
    "billing_portal.session": "bps_",
    "charge": "ch_",
    "checkout.session": "cs_",
    "credit_note": "cn_",
    "credit_note_line_item": "cnli_",
    "customer": "cus_",
    "customer_balance_transaction": "cbtxn_",
    "dispute": "du_",
    "discount": "di_",
    "event": "evt_",
    "invoice": "in_",
    "invoice_payment": "inpay_",
    "invoiceitem": "ii_",
    "item": "li_",
    "line_item": "il_",
    "payment_intent": "pi_",
    "payment_link": "plink_",
    "payment_method": "pm_",
    "price": "price_",
    "product": "prod_",
    "promotion_code": "promo_",
    "radar.early_fraud_warning": "issfr_",
    "refund": "re_",
    "setup_intent": "seti_",
    "subscription": "sub_",
    "subscription_item": "si_",
    "subscription_schedule": "sub_sched_",
    "tax_id": "txi_",
    "tax_rate": "txr_",
    "test_helpers.test_clock": "clock_",
    "token": "tok_",
    "webhook_endpoint": "we_",
}


@dataclass
class Account:
    """Objects are plain dicts in Stripe's format. Internal fields are under "_" and never sent."""

    store: Store
    config: Config
    mode: Mode
    request: Json | None = field(default=None)
    clock: Json | None = field(default=None)

    def now(self) -> int:
        """Return the seconds since 1970; for a customer with a test clock, that clock's time."""
        return int(self.clock["frozen_time"] if self.clock else time.time())

    def follow_clock(self, value: Json) -> None:
        """Use the time of the object's test clock from now on, if it has one."""
        if value.get("test_clock"):
            self.clock = self.store.load(self.mode, value["test_clock"])

    def new_id(self, kind: str) -> str:
        """Return a new id with the kind's prefix."""
        mode = f"{self.mode}_" if kind in ("checkout.session", "billing_portal.session") else ""
        length = 14 if kind in ("customer", "product") else 24
        return PREFIXES[kind] + mode + secrets.token_bytes(length).translate(LETTERS).decode()

    def build(self, kind: str, fields: Json) -> Json:
        """Return a new object of this kind, complete but not stored."""
        value = spec.empty(kind)
        if "livemode" in value:
            value["livemode"] = self.mode == "live"
        if "created" in value:
            value["created"] = self.now()
        if "test_clock" in value and self.clock:
            value["test_clock"] = self.clock["id"]
        return value | {"id": fields.get("id") or self.new_id(kind)} | fields

    def add(self, kind: str, fields: Json, event: str | None = None) -> Json:
        """Store a new object and create its event."""
        value: Json = {"_": {}} | self.build(kind, fields)
        self.store.save(self.mode, kind, value)
        if event:
            self.emit(event, value)
        return value

    def find(self, kind: str, id_: str, param: str | None = None) -> Json:
        """Return the object with this id. `param` names the parameter with the id. Raises StripeError."""
        value = self.store.load(self.mode, id_)
        gone = value is not None and value.get("deleted") and param
        if value is None or gone or value.get("object") != kind:
            raise missing(kind, id_, param, self._hint(id_))
        self.follow_clock(value)
        return value

    def _hint(self, id_: str) -> str:
        other = self.store.mode_of(id_)
        if other is None or other == self.mode:
            return ""
        return (
            f"; a similar object exists in {other} mode, but a {self.mode} mode key was used to make this request."
        )

    def get(self, id_: str | None) -> Json | None:
        """Return the object with this id, or None."""
        return self.store.load(self.mode, id_) if id_ else None

    def save(self, value: Json) -> Json:
        """Store an object that was changed in place."""
        self.store.save(self.mode, value["object"], value)
        return value

    def change(self, value: Json, changes: Json, event: str | None = None) -> Json:
        """Change an object. The event is created only if something changed."""
        before = {name: value.get(name) for name in changes if value.get(name) != changes[name]}
        value.update(changes)
        self.save(value)
        previous = {name: old for name, old in before.items() if name != "_"}
        if event and previous:
            self.emit(event, value, previous)
        return value

    def emit(self, type_: str, value: Json, previous: Json | None = None) -> None:
        """Store an event about an object in its current state, and a delivery for each endpoint that listens to
        it.
        """
        listening = [e for e in self.store.endpoints(self.mode) if events.wants(e, type_)]
        fields = {
            "api_version": events.API_VERSION,
            "created": int(time.time()),
            "data": events.data(value, previous),
            "pending_webhooks": len(listening),
            "request": self.request or {"id": None, "idempotency_key": None},
            "type": type_,
        }
        event = self.build("event", fields)
        self.store.save(self.mode, "event", event)
        for endpoint in listening:
            self.store.queue_delivery(event["id"], endpoint["id"])

    def at(self, due: float, action: str, id_: str) -> None:
        """Schedule an action on an object, in seconds since 1970."""
        self.store.set_timer(due, self.mode, action, id_, self.clock["id"] if self.clock else None)
