"""The monthly run: close the month, claim a bill for each customer, invoice it."""
