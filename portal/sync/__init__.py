"""Idempotency (claim, call, confirm), versions (which fetch may write), and upserts of Stripe's objects."""
