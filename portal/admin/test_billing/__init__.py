"""Test orders, time travel, timeline: the code of the test lane alone."""
