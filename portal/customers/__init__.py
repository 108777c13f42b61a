"""A user's billing identity: whether it is suspended."""
