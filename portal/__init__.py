"""Portal: a self-hosted customer billing portal for Stripe."""
