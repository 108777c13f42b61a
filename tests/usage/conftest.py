"""Alice's server, which reports what she uses."""

import pytest

from tests.conftest import Person
from tests.support.usage import Reporter, reporter
from tests.support.world import World


@pytest.fixture
def server(here: World, alice: Person) -> Reporter:
    return reporter(here, alice.email)
