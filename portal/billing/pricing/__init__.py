"""What is on sale: the pricing page, its API, and allowed prices outside the catalogue."""
