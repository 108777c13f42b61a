"""Orders of credits: checkout, fulfillment, payments, reversals."""
