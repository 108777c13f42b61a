"""Metered usage: recording, limits, and the run of the 1st."""
