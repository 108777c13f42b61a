"""The behavior of the objects: money, states, and time."""
