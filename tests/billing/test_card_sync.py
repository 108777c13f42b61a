"""The displayed card is the card that pays, whoever changes it and where."""

from flask import Flask
from sqlalchemy import select

from portal.extensions import db
from portal.models import StripeCustomer, Subscription
from tests.conftest import Person
from tests.support import events
from tests.support.clocked import on_a_clock
from tests.support.world import World


def shown(here: World) -> tuple[str | None, str | None, int | None]:
    """The last digits of the subscription's card and the default card, and the year in which the first expires."""
    db.session.commit()
    here.flush()
    db.session.expire_all()
    subscription = db.session.execute(select(Subscription)).scalar_one()
    name = db.session.execute(select(StripeCustomer)).scalar_one()
    return subscription.card_last4, name.card_last4, subscription.card_exp_year


def test_a_new_default_card_a_new_date_and_a_removed_card_all_show(here: World, app: Flask, alice: Person) -> None:
    carol = on_a_clock(here, alice.user)
    carol.subscribe()
    assert shown(here)[:2] == ("4242", "4242")
    carol.use_card("pm_card_mastercard")
    assert shown(here)[:2] == ("4444", "4444")
    fingerprint = db.session.execute(select(StripeCustomer.card_fingerprint)).scalar_one()
    assert fingerprint
    method = carol.stripe.customers.retrieve(carol.stripe_customer).invoice_settings.default_payment_method
    carol.stripe.payment_methods.update(method, {"card": {"exp_year": 2041, "exp_month": 5}})
    assert shown(here)[2] == 2041
    carol.stripe.payment_methods.detach(method)
    assert shown(here) == (None, None, None)


def test_a_card_of_the_subscription_s_own_wins_over_the_default(here: World, app: Flask, bob: Person) -> None:
    name = db.session.execute(select(StripeCustomer.stripe_id)).scalar_one()
    stripe = here.stripe().v1
    method = stripe.payment_methods.attach("pm_card_mastercard", {"customer": name})
    stripe.customers.update(name, {"invoice_settings": {"default_payment_method": method.id}})
    assert shown(here)[:2] == ("4242", "4444")


def test_whose_method_was_taken_away_is_read_from_what_it_had_before(here: World, app: Flask, bob: Person) -> None:
    name = db.session.execute(select(StripeCustomer.stripe_id)).scalar_one()
    db.session.commit()
    mark, stripe = events.newest(here), here.stripe().v1
    stripe.payment_methods.detach(stripe.payment_methods.attach("pm_card_visa", {"customer": name}).id)
    detached = next(one for one in events.since(here, mark) if one["type"] == "payment_method.detached")
    assert detached["data"]["object"]["customer"] is None
    assert events.deliver(here, detached).json()["status"] == "processed"
    del detached["data"]["previous_attributes"]
    detached["id"] = "evt_nobodys"
    assert events.deliver(here, detached).json()["status"] == "parked"
