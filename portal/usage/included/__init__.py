"""The units of meters that plans include each month: how many, how many are used, and who may use them."""
