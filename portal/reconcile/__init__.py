"""Reconciliation: the ledger against itself, and Stripe's lists against our tables."""
