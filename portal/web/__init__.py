"""Shared code of pages: filters, security headers, forms, CORS."""
