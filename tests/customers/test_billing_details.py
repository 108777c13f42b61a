"""Company, address and tax id of the account page, which reach Stripe and every later invoice."""

from typing import Any

import pytest
from sqlalchemy import select

from portal.customers import billing_details
from portal.extensions import db
from portal.models import AuditEntry, StripeCustomer
from tests.conftest import Person
from tests.support import events
from tests.support.looking import one
from tests.support.world import World

GIVEN = {
    "name": "Example GmbH",
    "line1": "Long Street 5",
    "postal_code": "10115",
    "city": "Berlin",
    "country": "DE",
    "tax_id_type": "eu_vat",
    "tax_id": "DE123456789",
}


def at_stripe(here: World) -> Any:
    name = one(here, select(StripeCustomer.stripe_id))
    return here.stripe().v1.customers.retrieve(name, {"expand": ["tax_ids"]})


def save(someone: Person, **given: str) -> None:
    someone.browser.open("/account/billing-details")
    someone.browser.press("Save", **(GIVEN | given))


def test_the_details_reach_stripe_and_every_later_invoice(here: World, bob: Person) -> None:
    save(bob)
    assert "Your billing details are saved" in bob.browser.text
    assert "Example GmbH" in bob.browser.text
    assert "Long Street 5, 10115, Berlin, DE" in bob.browser.text
    assert "DE123456789 Being verified" in bob.browser.text
    customer = at_stripe(here)
    api = here.stripe().v1
    item = {"customer": customer.id, "amount": 900, "currency": "usd", "description": "Training"}
    draft = api.invoices.create({"customer": customer.id})
    api.invoice_items.create(item | {"invoice": draft.id})
    invoice = api.invoices.finalize_invoice(draft.id)
    assert invoice.customer_name == "Example GmbH"
    assert (invoice.customer_address.line1, invoice.customer_address.country) == ("Long Street 5", "DE")
    assert [(one.type, one.value) for one in invoice.customer_tax_ids] == [("eu_vat", "DE123456789")]
    with here.app.app_context():
        written = db.session.execute(select(AuditEntry).filter_by(action="billing_details.changed")).scalar_one()
        assert "Example" not in str(written.after) + written.subject


def test_a_customer_is_made_at_stripe_for_them(here: World, alice: Person) -> None:
    save(alice)
    assert at_stripe(here).name == "Example GmbH"


def test_another_tax_id_takes_the_place_of_the_first_and_an_empty_one_removes_it(
    here: World, alice: Person
) -> None:
    for value, wanted in (("DE123456789", 1), ("DE987654321", 1), ("", 0), ("DE123456789", 1)):
        save(alice, tax_id=value, tax_id_type="eu_vat" if value else "")
        assert [found.value for found in at_stripe(here).tax_ids.data] == [value] * wanted
    save(alice, line1="", postal_code="", city="", country="")
    assert at_stripe(here).address is None
    alice.browser.open("/account")
    assert "Address Not given" in alice.browser.text


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"tax_id": "DE1"}, "tax_id", "Stripe does not accept this number"),
        ({"tax_id_type": ""}, "tax_id", "Give a tax ID and its kind together"),
        ({"country": ""}, "country", "Choose the country of the address."),
        ({"name": "x" * 201}, "name", "Use at most 200 characters."),
    ],
)
def test_what_is_refused_is_said_beside_its_field(
    here: World, alice: Person, given: dict[str, str], field: str, words: str
) -> None:
    save(alice, **given)
    assert alice.browser.page.status_code == 400
    assert f'id="{field}-error"' in alice.browser.page.text
    assert words in alice.browser.text
    assert 'value="Long Street 5"' in alice.browser.page.text


def test_a_form_that_is_sent_twice_adds_one_tax_id(here: World, alice: Person) -> None:
    alice.browser.open("/account/billing-details")
    form = alice.browser.form("Save")
    for _ in range(2):
        assert alice.browser.http.post(form.action, data=form.fields | GIVEN).status_code == 200
    assert len(at_stripe(here).tax_ids.data) == 1


@pytest.mark.parametrize(
    ("number", "words"), [("DE000000000", "Verified"), ("DE111111111", "Not verified: please check it")]
)
def test_the_result_of_a_verification_arrives_by_its_own_event(
    here: World, bob: Person, number: str, words: str
) -> None:
    customer, mark = at_stripe(here).id, events.newest(here)
    here.control("deliveries/discard")
    here.stripe().v1.customers.tax_ids.create(customer, {"type": "eu_vat", "value": number})
    here.control("settlements/flush")
    here.control("deliveries/discard")
    kinds = [f"customer.tax_id.{what}" for what in ("created", "updated")]
    heard = [one for kind in kinds for one in events.of_type(here, mark, kind)]
    assert [events.deliver(here, one).json()["status"] for one in heard] == ["processed"] * 2
    bob.browser.open("/account")
    assert f"{number} {words}" in bob.browser.text
    here.stripe().v1.customers.tax_ids.delete(customer, at_stripe(here).tax_ids.data[0].id)
    here.flush()
    bob.browser.open("/account")
    assert number not in bob.browser.text


def test_details_that_were_entered_at_stripe_are_shown(here: World, bob: Person) -> None:
    customer = at_stripe(here)
    here.stripe().v1.customers.update(customer.id, {"name": "From Checkout", "address": {"country": "AT"}})
    here.flush()
    bob.browser.open("/account")
    assert "From Checkout" in bob.browser.text
    bob.browser.open("/account/billing-details")
    assert 'value="From Checkout"' in bob.browser.page.text
    assert '<option selected value="AT">' in bob.browser.page.text


def test_each_kind_of_tax_id_is_one_that_stripe_has(here: World) -> None:
    spec = here.stripe().v1.customers.create({"email": "all@example.com"})
    for kind in billing_details.TAX_ID_TYPES:
        here.stripe().v1.customers.tax_ids.create(spec.id, {"type": kind, "value": "123456789"})
