"""Events and their delivery."""
