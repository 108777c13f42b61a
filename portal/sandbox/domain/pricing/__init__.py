"""Prices: amounts, discounts, taxes, usage and billing periods."""
