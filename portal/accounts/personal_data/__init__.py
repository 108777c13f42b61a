"""Exporting the data of an account, and deleting it."""
