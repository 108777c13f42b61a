"""Ownership of an address: verification, waiting orders, beginning anew, taking over."""
