"""Stripe's HTTP interface: parameters, lists, expansion, errors, idempotency, and the switches for tests."""
