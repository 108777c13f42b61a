"""The sandbox's own switches: faults, copies, seeds and permissions, under /_config."""
