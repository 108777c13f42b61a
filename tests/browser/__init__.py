"""The pages in a real browser: the purchase, the checks of every page, and how it looks."""
