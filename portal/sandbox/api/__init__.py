"""HTTP as Stripe speaks it: parameters, lists, expansion, errors, idempotency, and the switches for tests."""
