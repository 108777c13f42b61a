"""Alice's server, which reports what she uses under an agreement."""

import pytest

from portal.extensions import db
from tests.conftest import Person
from tests.support import events
from tests.support.usage import Reporter, agree, reporter, start
from tests.support.world import World


@pytest.fixture
def server(here: World, alice: Person) -> Reporter:
    found = reporter(here, alice.email)
    with here.app.app_context():
        agree(found.customer_id)
        db.session.remove()
    return found


@pytest.fixture
def mark(here: World) -> str:
    """The newest event at Stripe before the test."""
    return events.newest(here)


@pytest.fixture
def agreed(here: World, alice: Person) -> Reporter:
    """Alice's server, once she pays as she goes."""
    start(alice.browser)
    here.flush()
    return reporter(here, alice.email)
