"""Rows that wait to be handled: the page and `flask jobs`."""
