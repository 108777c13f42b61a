"""Moving here: the customers and subscriptions that a Stripe account already has."""
