"""Alice's server, which reports what she uses under an agreement."""

import pytest

from portal.extensions import db
from tests.conftest import Person
from tests.support.usage import Reporter, agree, reporter
from tests.support.world import World


@pytest.fixture
def server(here: World, alice: Person) -> Reporter:
    found = reporter(here, alice.email)
    with here.app.app_context():
        agree(found.customer_id)
        db.session.remove()
    return found
