"""Payments, what takes them back, and what follows."""
