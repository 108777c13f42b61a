"""An invoice as a PDF."""

import datetime as dt
from typing import Any

from fpdf import FPDF

from portal.sandbox.domain.pricing.amounts import money

Json = dict[str, Any]
WIDTHS = (110, 20, 40)  # millimetres


def render(invoice: Json) -> bytes:
    """One page with the invoice's lines and totals."""
    pdf = FPDF()
    pdf.set_title(f"Invoice {invoice['number']}")
    pdf.add_page()
    pdf.set_font("Courier", "B", 20)
    pdf.cell(0, 12, "Invoice (sandbox)", new_x="LMARGIN", new_y="NEXT")
    pdf.set_font("Courier", "", 11)
    for text in heading(invoice):
        pdf.cell(0, 6, plain(text), new_x="LMARGIN", new_y="NEXT")
    pdf.ln(6)
    for row in rows(invoice):
        for width, text in zip(WIDTHS, row, strict=True):
            pdf.cell(width, 8, plain(text), align="L" if width == WIDTHS[0] else "R")
        pdf.ln()
    return bytes(pdf.output())


def heading(invoice: Json) -> list[str]:
    """Who owes, since when, and whether it is paid."""
    made = dt.datetime.fromtimestamp(invoice["created"], dt.UTC)
    buyer = invoice["customer_name"] or invoice["customer_email"] or ""
    return [
        f"Number {invoice['number']}",
        f"Date {made:%d %B %Y}",
        f"Billed to {buyer}",
        f"Status {invoice['status']}",
    ]


def rows(invoice: Json) -> list[tuple[str, str, str]]:
    """Description, quantity and amount of each line, then the totals."""
    currency = invoice["currency"]
    lines = [
        ((line["description"] or "")[:44], str(line["quantity"] or ""), money(line["amount"], currency))
        for line in invoice["lines"]["data"]
    ]
    off = sum(one["amount"] for one in invoice["total_discount_amounts"])
    less = [("Discount", "", money(-off, currency))] if off else []
    sums = (("Total", "total"), ("Amount paid", "amount_paid"), ("Amount due", "amount_remaining"))
    return [*lines, *less, *((name, "", money(invoice[field], currency)) for name, field in sums)]


def plain(text: str) -> str:
    """The core fonts know Latin-1 only."""
    return text.replace("€", "EUR ").replace("×", "x").encode("latin-1", "replace").decode("latin-1")
