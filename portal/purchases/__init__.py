"""The order behind every checkout: customers at Stripe, start, open sessions, fulfil. No pages."""
