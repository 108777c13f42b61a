"""Invoices at Stripe for paid orders: documents for the customer's books, which charge nothing."""
