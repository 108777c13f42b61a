"""Proving the books: the ledger against itself, and what Stripe lists against the ledger."""
