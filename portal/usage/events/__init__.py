"""Usage events: reading a report, recording it, voiding it."""
