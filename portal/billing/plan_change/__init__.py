"""Changing the plan of a subscription: options, quotes, claims, pages."""
