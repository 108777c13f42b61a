"""Every claimed call, where Stripe acts and gives no response, or a 500: in the end everything exists, once."""

from typing import Any

import pytest
import time_machine
from sqlalchemy import select, update

from portal import clock
from portal.extensions import db
from portal.models import Plan, Price
from portal.sync import idempotency
from tests.faults import changes, documents, orders, usage
from tests.faults.injection import FAULTS, Injected, Site, effects, places, unclaimed
from tests.faults.story import Story, nothing_is_open, recover
from tests.support.looking import one
from tests.support.world import World

STORIES: list[type[Story]] = [*orders.STORIES, *documents.STORIES, *changes.STORIES, *usage.STORIES]
CASES = [pytest.param(story, site, id=f"{story.__name__}-{site}") for story in STORIES for site in story.sites]

# What is called without a claim: asked for again it does the same, whatever became of it before.
HARMLESS = {
    ("accounts.personal_data.deletion._leave", "delete_customer"),
    ("admin.test_billing.plan_orders.cancel", "cancel_subscription"),
    ("admin.test_billing.orders.dispute", "dispute_in_sandbox"),
    ("admin.test_billing.time_travel._call", "advance_test_clock"),  # a clock goes to a time once
    ("admin.test_billing.time_travel.end", "delete_test_clock"),
    ("customers.billing_details._save", "update_customer"),
    ("customers.billing_details._delete", "delete_tax_id"),
    ("customers.email_sync._tell", "update_customer"),
    ("orders.checkout._expire", "expire_session"),
    ("customers.stripe_customers.portal_url", "create_portal_session"),  # a page
    ("catalogue.portal_configuration._made", "create_portal_configuration"),  # found by its stamp
    ("catalogue.portal_configuration._made", "update_portal_configuration"),
    ("catalogue.prices._create", "create_price"),  # found by its lookup key
    ("catalogue.prices._metered", "create_meter"),  # found by its event's name
    ("catalogue.prices._product", "create_product"),  # one without a price is never shown
    ("webhooks.endpoint._create", "create_webhook_endpoint"),  # found by its address
    ("webhooks.endpoint._extend", "set_webhook_events"),
}


def test_every_step_of_every_claim_has_a_story() -> None:
    told = {site for story in STORIES for site in story.sites}
    assert {site.place for site in told} == places()
    steps = {(idempotency.WORDS[model], step) for model, steps in idempotency.STEPS.items() for step in steps}
    assert {(site.kind, site.step) for site in told} == steps
    assert idempotency.STEPS.keys() == idempotency.WORDS.keys()


def test_what_changes_something_at_stripe_is_claimed() -> None:
    assert unclaimed() == HARMLESS


def test_methods_and_calls_in_folders_of_folders_are_seen() -> None:
    assert {"create_schedule", "create_credit_note", "void_invoice", "create_refund"} <= effects()
    assert {"orders.documents.invoices._draft", "billing.plan_change.steps._end"} <= places()


@pytest.mark.long  # a story and its recovery for every step, twice
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("story", "site"), CASES)
def test_a_lost_answer(
    here: World, monkeypatch: pytest.MonkeyPatch, story: type[Story], site: Site, fault: str
) -> None:
    told = story(here)
    injected = Injected(here, site, FAULTS[fault])
    with monkeypatch.context() as patch:
        patch.setattr(idempotency, "call", injected.call)
        told.act()
    assert injected.hits, "the step was not come to"
    recover(told)
    told.check()
    nothing_is_open(here)


@pytest.mark.parametrize("claim", idempotency.STEPS)
def test_a_step_that_is_not_registered_is_refused(claim: Any) -> None:
    if "*" not in idempotency.STEPS[claim]:
        with pytest.raises(LookupError):
            idempotency.step_of(claim(), "unheard-of")


@pytest.mark.parametrize("fault", [*FAULTS.values(), {"next": 1, "status": 500}])
@pytest.mark.parametrize("path", ["/v1/products", "/v1/prices"])
def test_a_push_that_lost_an_answer_is_done_again(
    here: World, request: pytest.FixtureRequest, path: str, fault: dict[str, Any]
) -> None:
    def push() -> Any:
        return here.app.test_cli_runner().invoke(args=["catalogue", "push", "--yes"])

    with here.app.app_context():
        lookup_key = f"pro_{abs(hash(request.node.name))}"
        for key, word in (("pro-monthly", lookup_key), ("pro-yearly", f"{lookup_key}_yearly")):
            values = {"live_price_id": None, "lookup_key": word}
            db.session.execute(update(Price).filter_by(key=key).values(values))
        db.session.execute(update(Plan).filter_by(key="pro").values(live_product_id=None, name=lookup_key))
        db.session.commit()
    here.fail(method="POST", path=path, **fault)
    assert push().exit_code != 0
    here.control("failures")
    with time_machine.travel(clock.now().timestamp() + idempotency.ERROR_STANDS.total_seconds()):
        again = push()
    assert again.exit_code == 0, again.output
    [made] = here.stripe().v1.prices.list({"lookup_keys": [lookup_key]}).data
    assert one(here, select(Price.live_price_id).filter_by(key="pro-monthly")) == made.id
