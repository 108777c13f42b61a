"""Changing the email address of an account."""
