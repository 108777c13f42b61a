"""A Stripe-compatible server for the first run, for tests and for demos. It is independent of the portal and
can be deleted.
"""
