"""The audit log: search, pages, CSV, seals."""
