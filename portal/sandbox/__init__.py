"""A Stripe-compatible server for the first run, for tests and for demos; it stands alone and can be deleted."""
