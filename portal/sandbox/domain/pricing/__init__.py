"""What things cost: amounts, discounts, taxes, usage and billing periods."""
