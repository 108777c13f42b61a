"""What the tests of the admin's pages share."""

import pytest

from tests.conftest import Person
from tests.support.browsing import Browser


@pytest.fixture
def admin(ada: Person) -> Browser:
    """Ada's browser."""
    return ada.browser
