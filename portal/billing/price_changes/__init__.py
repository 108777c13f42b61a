"""Changing what subscribers pay: a notice first, then the price of their next renewal."""
