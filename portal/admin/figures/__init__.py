"""The business figures: charts with their tables, and a CSV."""
