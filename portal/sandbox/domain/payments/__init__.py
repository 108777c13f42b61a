"""Payment methods, payments, refunds, disputes and the balance."""
