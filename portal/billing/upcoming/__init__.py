"""What will be charged: a subscription's items and terms, Stripe's previews, and the list of upcoming charges."""
