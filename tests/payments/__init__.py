"""Payments, their refunds and disputes, and the effects."""
