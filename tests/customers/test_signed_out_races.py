"""Requests of a session that are under way while its account begins anew, many at once."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import requests

from portal.accounts.security import second_factor
from portal.extensions import db
from portal.models import EmailChange, User
from tests.conftest import Person
from tests.customers.test_signed_out_meanwhile import begin_anew, living_keys
from tests.support.world import World

ROUNDS = 3
FORMS = (
    ("/keys", {"name": "late", "scopes": ["read"]}),
    ("/account/email", {"email": "mallory@example.com"}),
    ("/account/second-factor", {}),
)


@pytest.mark.both_databases
def test_nothing_is_left_of_requests_beside_the_beginning(here: World, alice: Person) -> None:
    """Each comes before, and is ended, or after, and is refused."""
    alice.browser.open("/keys")
    token = alice.browser.forms()[0].fields["csrf_token"]
    cookies = alice.browser.http.cookies.get_dict()
    asked = [*FORMS] * ROUNDS
    start = Barrier(len(asked) + 1)

    def send(path: str, fields: dict[str, object]) -> int:
        data = {"csrf_token": token, **fields}
        start.wait(30)
        sent = requests.post(here.base + path, data, cookies=cookies, timeout=60, allow_redirects=False)
        return sent.status_code

    def begin() -> None:
        start.wait(30)
        begin_anew(here, alice.user_id)

    with ThreadPoolExecutor(len(asked) + 1) as pool:
        answers = [pool.submit(send, *one) for one in asked]
        pool.submit(begin).result()
        assert {answer.result() for answer in answers} <= {200, 302, 303, 401, 409}
    with here.app.app_context():
        assert living_keys(alice.user_id) == 0
        user = db.session.get_one(User, alice.user_id)
        assert second_factor.enrolment(user) is None
        assert db.session.get(EmailChange, alice.user_id) is None
