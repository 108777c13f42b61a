"""Importing the customers and subscriptions of an existing Stripe account."""
