"""The order behind every checkout: customers at Stripe, start, fulfil. No pages."""
