"""The pages in a real browser: the purchase, what every page owes its reader, and how it looks."""
