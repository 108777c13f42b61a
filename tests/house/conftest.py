"""Tests of the house start in a folder of their own."""

import pytest


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """No .env and no instance but the test's own."""
    monkeypatch.chdir(tmp_path)
