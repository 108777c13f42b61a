"""The history page: every credit entry, payment, refund and invoice in one list."""
