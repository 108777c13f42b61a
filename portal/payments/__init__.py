"""Every payment that concerns us, what takes it back, and what follows from that."""
