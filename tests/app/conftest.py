"""Tests of the application as a whole run in a folder of their own."""

import pytest


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A working directory without an .env file or an instance folder."""
    monkeypatch.chdir(tmp_path)
