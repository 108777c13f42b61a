"""Shared fixtures of the admin pages' tests."""

import pytest

from tests.conftest import Person, person
from tests.support.browsing import Browser
from tests.support.world import World


@pytest.fixture
def admin(ada: Person) -> Browser:
    """Ada's browser."""
    return ada.browser


@pytest.fixture
def support(here: World) -> Browser:
    """The browser of Sue, who works in support."""
    return person(here, "sue", role="support").browser
