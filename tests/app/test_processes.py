"""Two upgrades, and two refunds, at once in several processes: the database decides, not a lock in memory."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from sqlalchemy import select

from portal.extensions import db
from portal.models import Payment, RefundRequest, Subscription, SubscriptionChange
from tests.admin.test_customers import bought_credits
from tests.conftest import Person, person
from tests.support.browsing import Browser, Form
from tests.support.looking import one, tier
from tests.support.world import World, gunicorn

pytestmark = pytest.mark.both_databases
WORKERS = 3
AT_ONCE = 4


@pytest.fixture(scope="module")
def farm(the_world: World) -> Iterator[str]:
    """The address of one portal that runs in several processes."""
    with gunicorn(the_world, "wsgi:app", "-w", str(WORKERS)) as base:
        yield base


def at_once(farm: str, browser: Browser, forms: list[Form], **values: str) -> list[int]:
    """Send these forms at the same moment, each on its own connection, and return the statuses."""
    cookies = browser.http.cookies.get_dict()

    def send(form: Form) -> int:
        url = form.action.replace(browser.here.base, farm)
        answer = requests.post(url, form.fields | values, cookies=cookies, allow_redirects=False, timeout=60)
        return answer.status_code

    with ThreadPoolExecutor(len(forms)) as pool:
        return list(pool.map(send, forms))


def test_of_several_upgrades_at_once_one_is_made_and_paid(here: World, farm: str) -> None:
    bob = person(here, "bob")
    bob.browser.buy("starter-monthly")
    here.flush()
    forms = []
    for number in range(AT_ONCE):
        bob.browser.open(f"/billing/change?price={('pro-monthly', 'enterprise-monthly')[number % 2]}")
        forms.append(bob.browser.form("Confirm change"))
    answers = at_once(farm, bob.browser, forms)
    assert 303 in answers, answers  # from one that comes after the change too
    assert set(answers) <= {303, 400, 409}, answers
    here.flush()
    bought = tier(here)
    assert bought in ("pro", "enterprise")
    subscription = one(here, select(Subscription.stripe_id))
    paid = here.stripe().v1.invoices.list({"subscription": subscription}).data
    extra = {"pro": 3000, "enterprise": 17901}[bought]
    assert sorted(invoice.amount_paid for invoice in paid) == [1999, extra]
    with here.app.app_context():
        states = list(db.session.execute(select(SubscriptionChange.state)).scalars())
        assert states.count("done") == 1, states


@pytest.mark.parametrize("amount", ["45.00", "30.00"])
def test_several_refunds_at_once_never_give_back_more_than_was_paid(
    here: World, farm: str, ada: Person, bob: Person, amount: str
) -> None:
    """Of $45.00: all of it, or more than half of it, by several admins who each see the whole amount left."""
    bought_credits(here, bob)
    payment = one(here, select(Payment.id).filter_by(kind="credits"))
    forms = []
    for _ in range(AT_ONCE):
        ada.browser.open(f"/admin/customers/{bob.user_id}/refund?payment={payment}")
        forms.append(ada.browser.form("Refund"))
    assert len({form.fields["nonce"] for form in forms}) == AT_ONCE
    answers = at_once(farm, ada.browser, forms, amount=amount)
    assert answers.count(303) == 1, answers
    assert set(answers) <= {303, 400, 409}, answers
    here.flush()
    with here.app.app_context():
        intent = db.session.execute(select(Payment.stripe_id).filter_by(id=payment)).scalar_one()
        states = list(db.session.execute(select(RefundRequest.state)).scalars())
    given_back = sum(refund.amount for refund in here.stripe().v1.refunds.list({"payment_intent": intent}).data)
    assert given_back == int(float(amount) * 100)
    assert states.count("done") == 1, states
