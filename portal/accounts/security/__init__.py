"""Passwords, second factor, rate limits, and the pages that manage them."""
