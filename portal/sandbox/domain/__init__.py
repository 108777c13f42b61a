"""What the objects do: money, states, and time."""
