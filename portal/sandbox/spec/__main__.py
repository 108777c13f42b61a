"""Rewrite parameters.json and shapes.json: python -m portal.sandbox.spec openapi.json (Stripe's document).

additions.json has what a shortened document may lack, after the classes of Stripe's SDK.
"""

import json
import pathlib
import sys
from typing import Any

Json = dict[str, Any]
HERE = pathlib.Path(__file__).parent
LETTERS = {"string": "s", "integer": "i", "number": "n", "boolean": "b"}

# What versions before the document's took, and the version that removed it. Old accounts have what it made:
# https://docs.stripe.com/changelog/basil/2025-03-31/deprecate-singular-coupon-promotion-code
TEXT = {"anyOf": [{"type": "string"}, {"enum": [""]}]}
BEFORE = {
    operation: {"coupon~2025-03-31": TEXT, "promotion_code~2025-03-31": TEXT}
    for operation in ("POST /v1/customers", "POST /v1/customers/{customer}")
}

# Stripe omits these from a response unless expand[] asks for them.
ON_REQUEST = {
    "checkout.session": {"line_items"},
    "payment_link": {"line_items"},
    "invoice": {"payments", "confirmation_secret"},
    "charge": {"refunds"},
    "customer": {
        "sources",
        "subscriptions",
        "tax",
        "tax_ids",
        "invoice_credit_balance",
        "cash_balance",
    },
    "price": {"tiers", "currency_options"},
    "webhook_endpoint": {"secret"},
    "coupon": {"applies_to", "currency_options"},
}
OBJECTS = (
    "balance",
    "balance_transaction",
    "billing.meter",
    "billing.meter_event",
    "billing.meter_event_summary",
    "billing_portal.configuration",
    "billing_portal.session",
    "charge",
    "checkout.session",
    "coupon",
    "credit_note",
    "credit_note_line_item",
    "customer",
    "customer_balance_transaction",
    "discount",
    "dispute",
    "event",
    "invoice",
    "invoice_payment",
    "invoiceitem",
    "item",
    "line_item",
    "payment_intent",
    "payment_link",
    "payment_method",
    "price",
    "product",
    "promotion_code",
    "radar.early_fraud_warning",
    "refund",
    "setup_intent",
    "subscription",
    "subscription_item",
    "subscription_schedule",
    "tax_id",
    "tax_rate",
    "test_helpers.test_clock",
    "webhook_endpoint",
)


class Document:
    """An OpenAPI document, converted to two compact notations that the sandbox loads in milliseconds."""

    def __init__(self, path: pathlib.Path) -> None:
        self.spec = json.loads(path.read_text())
        more = json.loads((HERE / "additions.json").read_text())
        self.spec["paths"] |= more["paths"]
        self.schemas = self.spec["components"]["schemas"] | more["schemas"]

    def follow(self, schema: Json) -> Json:
        while "$ref" in schema:
            schema = self.schemas[schema["$ref"].rsplit("/", 1)[1]]
        return schema

    def parameters(self) -> Json:
        found = {
            f"{method.upper()} {path}": self.asked(operation)
            for path, item in sorted(self.spec["paths"].items())
            for method, operation in item.items()
            if path.startswith("/v1/")
        }
        for operation, removed in BEFORE.items():
            found[operation] |= {name: self.type_of(schema) for name, schema in removed.items()}
        return found

    def asked(self, operation: Json) -> Any:
        content = operation.get("requestBody", {}).get("content", {})
        body = content.get("application/x-www-form-urlencoded", {}).get("schema", {})
        query = [p for p in operation.get("parameters", []) if p["in"] == "query"]
        return self.type_of(
            {
                "type": "object",
                "properties": {p["name"]: p["schema"] for p in query} | body.get("properties", {}),
                "required": [p["name"] for p in query if p.get("required")] + body.get("required", []),
            }
        )

    def type_of(self, schema: Json) -> Any:
        """Return letters for scalars, "=" choices, "[]" lists, "*" maps, "|" alternatives.

        A field's name ends with "!" if it is required, with "~" if the newest version has removed it, with "~" and
        a date if an earlier one has.
        """
        schema = self.follow(schema)
        if "anyOf" in schema:
            return {"|": [self.type_of(a) for a in schema["anyOf"]]}
        if "enum" in schema:
            return {"=": schema["enum"]}
        if schema.get("type") == "array":
            return {"[]": self.type_of(schema.get("items", {}))}
        if isinstance(schema.get("additionalProperties"), dict):
            return {"*": self.type_of(schema["additionalProperties"])}
        if "properties" in schema:
            return self.fields(schema)
        return LETTERS.get(schema.get("type", ""), {"*": "s"})

    def fields(self, schema: Json) -> Json:
        needed = set(schema.get("required", []))
        return {
            name + ("!" if name in needed else "~" if part.get("x-removed") else ""): self.type_of(part)
            for name, part in schema["properties"].items()
        }

    def shapes(self) -> Json:
        return {
            name: {
                "empty": self.empty(self.schemas[name], ON_REQUEST.get(name, set())),
                "expandable": sorted(self.schemas[name].get("x-expandableFields", [])),
            }
            for name in OBJECTS
        }

    def empty(self, schema: Json, without: set[str]) -> Json:
        needed = schema.get("required", [])
        return {
            name: self.blank(part)
            for name, part in schema.get("properties", {}).items()
            if name not in without | {"deleted"}
            and not part.get("x-removed")
            and (name in needed or self.nullable(part))
        }

    def nullable(self, schema: Json) -> bool:
        return bool(schema.get("nullable") or self.follow(schema).get("nullable"))

    def blank(self, schema: Json) -> Any:
        if self.nullable(schema) or "anyOf" in schema:
            return None
        schema = self.follow(schema)
        if "enum" in schema and len(schema["enum"]) == 1:
            return schema["enum"][0]
        if schema.get("type") == "object":
            return self.empty(schema, set())
        return {"array": [], "boolean": False, "integer": 0}.get(schema.get("type", ""))


def lines(entries: Json) -> str:
    """Return one entry per line, so that a new version of the API is easy to read in a diff."""
    rows = [f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in entries.items()]
    return "{\n" + ",\n".join(rows) + "\n}\n"


def main() -> None:
    document = Document(pathlib.Path(sys.argv[1]))
    (HERE / "parameters.json").write_text(lines(document.parameters()))
    (HERE / "shapes.json").write_text(lines(document.shapes()))


if __name__ == "__main__":
    main()
