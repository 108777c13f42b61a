"""Subscriptions, and the schedules that change them."""
