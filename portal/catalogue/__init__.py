"""The catalogue of everything on sale: its file, loading it into the database, and pushing it to Stripe."""
