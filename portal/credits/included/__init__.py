"""Credits that plans include: given for each paid month, and taken back with its payment."""
