"""Stripe was changed while the endpoint was down: an action that meets it answers with what is so."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from sqlalchemy import select, update

from portal import clock
from portal.extensions import db
from portal.models import Subscription
from tests.billing.test_api import call
from tests.billing.test_plan_change import at_stripe, confirm, price_id
from tests.billing.test_subscription_api import by_key
from tests.conftest import Person
from tests.support.looking import one, tier
from tests.support.world import World


def lost(here: World) -> None:
    """The webhooks of what happened never arrive."""
    here.control("deliveries/discard")


def cancelled(here: World) -> None:
    here.stripe().v1.subscriptions.cancel(at_stripe(here).id)
    lost(here)


def deleted(here: World) -> None:
    here.stripe().v1.customers.delete(str(at_stripe(here).customer))
    lost(here)


def paid(here: World) -> None:
    """Our copy has missed that the open invoice was paid."""
    with here.app.app_context():
        db.session.execute(update(Subscription).values(status="past_due", past_due_since=clock.now()))
        db.session.commit()


def ending(here: World) -> None:
    here.stripe().v1.subscriptions.update(at_stripe(here).id, {"cancel_at_period_end": True})


def cancels_later(here: World) -> None:
    ending(here)
    lost(here)


def resumed(here: World) -> None:
    ending(here)
    here.flush()
    here.stripe().v1.subscriptions.update(at_stripe(here).id, {"cancel_at_period_end": False})
    lost(here)


def swapped(here: World) -> None:
    item = at_stripe(here)["items"].data[0].id
    wanted: Any = [{"id": item, "price": price_id(here, "starter-monthly")}]
    here.stripe().v1.subscriptions.update(at_stripe(here).id, {"items": wanted, "proration_behavior": "none"})
    lost(here)


def released(here: World) -> None:
    here.stripe().v1.subscription_schedules.release(str(at_stripe(here).schedule))
    lost(here)


@dataclass
class Actor:
    """Bob, with the pages that he opened before Stripe was changed."""

    here: World
    person: Person
    opened: dict[str, Any]

    def choose(self) -> requests.Response:
        return self.submit("choose")

    def see_plans(self) -> requests.Response:
        return self.person.browser.open("/billing/change")

    def see_quote(self) -> requests.Response:
        return self.person.browser.open("/billing/change?price=enterprise-monthly")

    def change(self) -> requests.Response:
        return self.submit("change")

    def cancel(self) -> requests.Response:
        return self.submit("cancel")

    def keep(self) -> requests.Response:
        return self.submit("keep")

    def resume(self) -> requests.Response:
        return self.submit("resume")

    def card(self) -> requests.Response:
        return self.submit("card")

    def credits(self) -> requests.Response:
        return self.submit("credits")

    def api_checkout(self) -> requests.Response:
        return call(self.here, self.opened["key"], "/api/v1/billing/checkout", {"plan_name": "starter"})

    def api_cancel(self) -> requests.Response:
        return call(self.here, self.opened["key"], "/api/v1/billing/cancel")

    def api_credits(self) -> requests.Response:
        return call(self.here, self.opened["key"], "/api/credits/purchase", {"package_id": "basic"})

    def submit(self, name: str) -> requests.Response:
        form = self.opened[name]
        browser = self.person.browser
        browser.page = browser.http.post(form.action, data=form.fields, timeout=30, allow_redirects=False)
        return browser.page


FORMS = {
    "choose": ("/billing/cancel", "Cancel at period end"),
    "change": ("/billing/change?price=enterprise-monthly", "Confirm change"),
    "cancel": ("/billing/cancel", "Cancel at period end"),
    "keep": ("/billing", "Keep current plan"),
    "resume": ("/billing", "Resume plan"),
    "card": ("/billing", "Manage payment method"),
    "credits": ("/credits", "Buy"),
}


def opened(here: World, bob: Person, action: str) -> Actor:
    """What the action needs is open in a tab."""
    forms: dict[str, Any] = {}
    if action.startswith("api"):
        forms["key"] = by_key(here, bob)
    if action in FORMS:
        path, button = FORMS[action]
        bob.browser.open(path)
        forms[action] = bob.browser.form(button)
    if action == "choose":  # from a pricing page that was opened before he had a plan
        forms[action].action = f"{here.base}/billing/checkout"
        forms[action].fields["price"] = "starter-monthly"
    return Actor(here, bob, forms)


def to_checkout(here: World, bob: Person) -> None:
    """He can pay, and has the plan then."""
    bob.browser.open(bob.browser.page.headers["Location"])
    bob.browser.pay()
    here.flush()
    assert tier(here) == "starter"


def to_stripes_portal(_here: World, bob: Person) -> None:
    assert bob.browser.open(bob.browser.page.headers["Location"]).status_code == 200


CASES: dict[str, tuple[Callable[[World], None], str, int, str, Any]] = {
    "cancelled, and chosen anew": (cancelled, "choose", 303, "", to_checkout),
    "cancelled, and the plans looked at": (cancelled, "see_plans", 409, "Your plan ended on", None),
    "cancelled, and a plan looked at": (cancelled, "see_quote", 409, "Your plan ended on", None),
    "cancelled, and changed": (cancelled, "change", 409, "Your plan ended on", None),
    "cancelled, and cancelled": (cancelled, "cancel", 409, "Your plan ended on", None),
    "cancelled, and the card changed": (cancelled, "card", 303, "", to_stripes_portal),
    "cancelled, and bought by a program": (cancelled, "api_checkout", 200, "", None),
    "cancelled, and cancelled by a program": (cancelled, "api_cancel", 409, "Your plan ended on", None),
    "cancelled, and resumed": (cancelled, "resume", 409, "Your plan has ended", None),
    "deleted, and chosen anew": (deleted, "choose", 303, "", to_checkout),
    "deleted, and the plans looked at": (deleted, "see_plans", 409, "Your plan ended on", None),
    "deleted, and changed": (deleted, "change", 409, "Your plan ended on", None),
    "deleted, and cancelled": (deleted, "cancel", 409, "Your plan ended on", None),
    "deleted, and the card changed": (deleted, "card", 303, "", to_stripes_portal),
    "deleted, and credits bought": (deleted, "credits", 303, "", None),
    "deleted, and credits bought by a program": (deleted, "api_credits", 200, "", None),
    "deleted, and bought by a program": (deleted, "api_checkout", 200, "", None),
    "paid, and the plans looked at": (paid, "see_plans", 200, "Enterprise", None),
    "paid, and a plan looked at": (paid, "see_quote", 200, "Confirm change", None),
    "paid, and another chosen": (paid, "api_checkout", 409, "/billing/change", None),
    "cancelled for later, and cancelled": (cancels_later, "cancel", 303, "", None),
    "cancelled for later, and changed": (cancels_later, "change", 409, "Resume it first", None),
    "cancelled for later, and the plans looked at": (cancels_later, "see_plans", 409, "Resume it first", None),
    "resumed, and the plans looked at": (resumed, "see_plans", 200, "Enterprise", None),
    "resumed, and cancelled by a program": (resumed, "api_cancel", 200, '"cancel_at_period_end":true', None),
    "swapped, and the plans looked at": (swapped, "see_plans", 200, "Starter", None),
    "swapped, and changed": (swapped, "change", 409, "Credit for unused time $19.99", None),
}


@pytest.mark.parametrize(("happened", "action", "status", "words", "then"), CASES.values(), ids=CASES)
def test_an_action_answers_with_what_is_so(
    here: World, bob: Person, happened: Callable[[World], None], action: str, status: int, words: str, then: Any
) -> None:
    if action == "resume":
        ending(here)
        here.flush()
    actor = opened(here, bob, action)
    happened(here)
    answer: requests.Response = getattr(actor, action)()
    said = (
        bob.browser.text
        if not action.startswith("api")
        else answer.text.replace(" ", "")
        if words[:1] == '"'
        else answer.text
    )
    assert (answer.status_code, words in said) == (status, True), said[:600]
    assert "A payment is open" not in said
    if then:
        then(here, bob)


def test_a_planned_change_that_stripe_dropped_is_no_error(here: World, bob: Person) -> None:
    confirm(bob, "starter-monthly")
    actor = opened(here, bob, "keep")
    released(here)
    assert actor.keep().status_code == 303
    assert one(here, select(Subscription.next_tier)) is None
