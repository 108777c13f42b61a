"""Stripe's customer portal: it offers what our pages offer, and a customer who cannot open it is told so."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal.catalogue import portal_configuration
from portal.extensions import db
from portal.models import PortalConfiguration, StripeCustomer
from tests.conftest import Person
from tests.support.world import World


def configured() -> str:
    found: str = db.session.execute(select(PortalConfiguration.stripe_id).filter_by(mode="live")).scalar_one()
    db.session.commit()
    return found


def test_the_pinned_configuration_is_made_once_and_put_right_when_somebody_changed_it(
    here: World, app: Flask
) -> None:
    stripe, known = here.stripe().v1, configured()
    assert portal_configuration.push("live").what == "unchanged"
    update = {"features": {"subscription_update": {"enabled": False}, "invoice_history": {"enabled": False}}}
    stripe.billing_portal.configurations.update(known, update)
    assert (portal_configuration.push("live", dry_run=True).what, portal_configuration.push("live").what) == (
        "differs",
        "put right",
    )
    features: Any = stripe.billing_portal.configurations.retrieve(known).features
    assert features.invoice_history.enabled
    assert features.payment_method_update.enabled
    assert not features.subscription_update.enabled
    assert (features.subscription_cancel.mode, len(features.subscription_cancel.cancellation_reason.options)) == (
        "at_period_end",
        8,
    )


def test_a_portal_with_another_database_finds_the_configuration_that_is_there(here: World, app: Flask) -> None:
    known = configured()
    db.session.execute(PortalConfiguration.__table__.delete())
    db.session.commit()
    assert (portal_configuration.push("live").stripe_id, configured()) == (known, known)
    db.session.execute(PortalConfiguration.__table__.update().values(stripe_id="bpc_gone"))
    db.session.commit()
    assert portal_configuration.push("live").stripe_id == known


def test_everybody_is_led_there_by_the_pinned_configuration(here: World, app: Flask, bob: Person) -> None:
    bob.browser.open("/billing")
    bob.browser.press("Manage payment method")
    assert bob.browser.page.url.startswith(here.sandbox.replace("127.0.0.1", "localhost") + "/b/session/")
    assert "Cancel plan" in bob.browser.text


def test_to_the_card_and_straight_back(here: World, app: Flask, bob: Person) -> None:
    browser = bob.browser
    browser.open("/billing")
    browser.press("Manage payment method", flow="payment_method_update")
    assert "Cancel plan" not in browser.text
    browser.press("Save card", number="5555 5555 5555 4444", expiration="12 / 34", cvc="123", zip="94107")
    assert browser.page.url == f"{here.base}/billing"
    here.flush()
    browser.open("/billing")
    assert "4444" in browser.text


@pytest.mark.parametrize("gone", [False, True])
def test_a_portal_that_stripe_refuses_is_said_in_plain_words(
    here: World, app: Flask, bob: Person, gone: bool
) -> None:
    browser = bob.browser
    browser.open("/billing")
    if gone:
        name = db.session.execute(select(StripeCustomer.stripe_id)).scalar_one()
        db.session.commit()
        here.stripe().v1.customers.delete(name)
    else:
        here.fail(next=1, path="/v1/billing_portal", status=400)
    browser.press("Manage payment method")
    if gone:  # the deletion is read from Stripe, with the end of the plan
        assert browser.page.ok
        return
    assert browser.page.status_code == 502
    assert "Nothing was changed" in browser.text
    browser.open("/billing")
    browser.press("Manage payment method")
    assert "/b/session/" in browser.page.url
