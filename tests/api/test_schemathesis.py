"""Random requests by schemathesis: no internal errors, and no undeclared responses."""

from collections.abc import Iterator
from itertools import cycle

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from portal.customers import stripe_customers
from portal.extensions import db
from portal.keys import api_keys
from portal.models.key import OPERATOR_SCOPES
from portal.webhooks.views import LIVE_PATHS
from tests.conftest import PASSWORD, Person
from tests.support.operators import operator_key
from tests.support.world import World

pytestmark = pytest.mark.long

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
EXAMPLES = 6  # of each call that fit, and as many that do not
MODES = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]


@pytest.fixture
def proofs(here: World, alice: Person) -> Iterator[dict[str, str]]:
    """The callers, in turn: an API key, an access token, an operator key, and nobody."""
    with here.app.app_context():
        _, key = api_keys.mint(stripe_customers.of(alice.user), "Server")
        db.session.commit()
    sent = {"email": alice.email, "password": PASSWORD}
    token = here.app.test_client().post("/api/auth/token", json=sent).json["access_token"]
    operator = operator_key(here, *OPERATOR_SCOPES)
    return cycle([bearer(key), bearer(token), bearer(operator), {}])


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def test_no_input_brings_an_error_of_ours_or_an_undeclared_answer(
    here: World, proofs: Iterator[dict[str, str]]
) -> None:
    schema = schemathesis.openapi.from_wsgi("/api/openapi.json", here.app)
    schema = schema.exclude(path=list(LIVE_PATHS[1:]))  # other addresses of the first
    for result in schema.get_all_operations():
        operation = result.ok()
        for mode in MODES if operation.body or any(operation.iter_parameters()) else MODES[:1]:
            attempt(operation.as_strategy(generation_mode=mode), proofs)


def attempt(cases: SearchStrategy[Case], proofs: Iterator[dict[str, str]]) -> None:
    """Send some of the generated requests, always the same ones, as each caller in turn."""

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def send(case: Case) -> None:
        case.call_and_validate(headers=next(proofs), checks=CHECKS)

    send()
