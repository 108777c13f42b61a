"""Invoices at Stripe, previews of them, and credit notes."""
