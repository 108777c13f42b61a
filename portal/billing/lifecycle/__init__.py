"""The lifecycle of a subscription: trials, dunning, reminders, voided invoices, resync."""
