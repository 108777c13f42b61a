"""Subscriptions, their schedules and their invoices."""
