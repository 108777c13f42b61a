"""Automatic top-ups: rules, charges, pages."""
