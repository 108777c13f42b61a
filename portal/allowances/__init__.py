"""What plans include: the numbers that each period was sold with, and its months."""
