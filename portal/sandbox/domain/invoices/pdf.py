"""An invoice as a PDF."""

import datetime as dt
from typing import Any

from portal.sandbox.domain.pricing.amounts import money

Json = dict[str, Any]
WIDTHS = (110, 20, 40)  # millimeters


def render(invoice: Json, taxes: list[tuple[str, int]]) -> bytes:
    """Return one page with the invoice's lines and totals; taxes are labels with amounts in minor units."""
    from fpdf import FPDF  # takes longer to import than the rest of the sandbox, and most starts print no invoice

    rendering = invoice["rendering"] or {"pdf": {"page_size": "auto"}}
    pdf = FPDF(format="letter" if rendering["pdf"]["page_size"] == "letter" else "a4")
    pdf.set_title(f"Invoice {invoice['number']}")
    pdf.add_page()
    pdf.set_font("Courier", "B", 20)
    pdf.cell(0, 12, "Invoice (sandbox)", new_x="LMARGIN", new_y="NEXT")
    pdf.set_font("Courier", "", 11)
    for text in heading(invoice):
        pdf.cell(0, 6, plain(text), new_x="LMARGIN", new_y="NEXT")
    pdf.ln(6)
    for row in rows(invoice, taxes):
        for width, text in zip(WIDTHS, row, strict=True):
            pdf.cell(width, 8, plain(text), align="L" if width == WIDTHS[0] else "R")
        pdf.ln()
    pdf.cell(0, 12, plain(invoice["footer"] or ""), new_x="LMARGIN", new_y="NEXT")
    return bytes(pdf.output())


def heading(invoice: Json) -> list[str]:
    """Return the customer, the date, and the status."""
    made = dt.datetime.fromtimestamp(invoice["effective_at"], dt.UTC)
    buyer = invoice["customer_name"] or invoice["customer_email"] or ""
    return [
        f"Number {invoice['number']}",
        f"Date {made:%d %B %Y}",
        f"Billed to {buyer}",
        f"Status {invoice['status']}",
        *(f"{one['name']}: {one['value']}" for one in invoice["custom_fields"] or []),
    ]


def rows(invoice: Json, taxes: list[tuple[str, int]]) -> list[tuple[str, str, str]]:
    """Return description, quantity and amount of each line, then the totals."""
    currency = invoice["currency"]
    lines = [
        ((line["description"] or "")[:44], str(line["quantity"] or ""), money(line["amount"], currency))
        for line in invoice["lines"]["data"]
    ]
    off = sum(one["amount"] for one in invoice["total_discount_amounts"])
    less = [("Discount", "", money(-off, currency))] if off else []
    sums = (("Total", "total"), ("Amount paid", "amount_paid"), ("Amount due", "amount_remaining"))
    less += [(words, "", money(amount, currency)) for words, amount in taxes]
    return [*lines, *less, *((name, "", money(invoice[field], currency)) for name, field in sums)]


def plain(text: str) -> str:
    """Return Latin-1 text, because the core fonts support only that."""
    return text.replace("€", "EUR ").replace("×", "x").encode("latin-1", "replace").decode("latin-1")
