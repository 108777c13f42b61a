"""A Payment Link's buyer who mistyped their address can correct it, and nobody else can."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from portal import clock
from portal.extensions import db
from portal.models import Order, OutboxMail, StripeCustomer, User
from tests.conftest import PASSWORD, Person
from tests.orders.test_payment_links import make_link, pay
from tests.support import browsing, mailbox
from tests.support.world import World

WRONG, RIGHT = "evee@example.com", "eve@example.com"


def claim_path(here: World, email: str = WRONG) -> str:
    return mailbox.links(here, email, "/claim/")[-1]


def correct(browser: browsing.Browser, email: str) -> int:
    """Correct the address by "Wrong address?" on the success page that is open."""
    browser.open(re.search(r'"(/billing/success/address\?[^"]+)"', browser.page.text)[1].replace("&amp;", "&"))
    return browser.press("Send the link", email=email).status_code


@pytest.mark.both_databases
def test_the_buyer_corrects_the_address_and_the_first_link_ends(here: World, visitor: browsing.Browser) -> None:
    pay(visitor, make_link(here), WRONG)
    assert WRONG in visitor.text
    first = claim_path(here)
    assert correct(visitor, RIGHT) == 200
    assert RIGHT in visitor.text
    assert browsing.Browser(here).open(first).status_code == 410
    key = visitor.reveal()
    other = browsing.Browser(here)
    other.open(claim_path(here, RIGHT))
    other.press("Claim account", password=PASSWORD)
    other.open("/billing")
    assert "Pro" in other.text
    assert visitor.receipt(key).json()["tier"] == "pro"
    with here.app.app_context():
        assert db.session.execute(select(User.email)).scalars().all() == [RIGHT]
        assert db.session.execute(select(StripeCustomer.new_email)).scalars().all() == [RIGHT]


def test_after_the_reveal_only_the_browser_that_saw_the_key_corrects_it(
    here: World, visitor: browsing.Browser
) -> None:
    pay(visitor, make_link(here), WRONG)
    success = visitor.page.url
    visitor.reveal()
    other = browsing.Browser(here)
    other.open(success)
    assert WRONG not in other.text
    assert other.open(success.replace("/success?", "/success/address?")).status_code == 404
    with here.app.app_context():
        db.session.execute(update(Order).values(paid_at=clock.now() - timedelta(hours=2)))
        db.session.commit()
    visitor.open(success)
    assert correct(visitor, RIGHT) == 200


def test_an_hour_after_an_unrevealed_payment_nobody_corrects_it(here: World, visitor: browsing.Browser) -> None:
    pay(visitor, make_link(here), WRONG)
    success = visitor.page.url
    with here.app.app_context():
        db.session.execute(update(Order).values(paid_at=clock.now() - timedelta(hours=1, seconds=1)))
        db.session.commit()
    assert visitor.open(success.replace("/success?", "/success/address?")).status_code == 404


def test_an_address_with_an_account_is_answered_alike_and_gets_nothing_unasked(
    here: World, visitor: browsing.Browser, bob: Person
) -> None:
    bob.prove()
    pay(visitor, make_link(here), WRONG)
    success = visitor.page.url
    assert correct(visitor, bob.email) == 200
    taken = visitor.text.replace(bob.email, "")
    visitor.open(success)
    assert correct(visitor, "nobody@example.com") == 200
    assert visitor.text.replace("nobody@example.com", "") == taken
    with here.app.app_context():
        bought = select(Order).where(Order.payment_link.is_not(None))
        assert db.session.execute(bought).scalar_one().customer.user.is_waiting


def test_what_was_claimed_keeps_its_address(here: World, visitor: browsing.Browser) -> None:
    pay(visitor, make_link(here), WRONG)
    success = visitor.page.url
    owner = browsing.Browser(here)
    owner.open(claim_path(here))
    owner.press("Claim account", password=PASSWORD)
    assert visitor.open(success.replace("/success?", "/success/address?")).status_code == 404


@pytest.mark.parametrize("email", ["", "nonsense", WRONG])
def test_what_is_no_new_address_is_refused(here: World, visitor: browsing.Browser, email: str) -> None:
    pay(visitor, make_link(here), WRONG)
    assert correct(visitor, email) == 400
    with here.app.app_context():
        claims = select(OutboxMail.id).filter_by(template="claim")
        assert len(db.session.execute(claims).all()) == 1


def test_corrections_of_one_order_are_few(here: World, visitor: browsing.Browser) -> None:
    pay(visitor, make_link(here), WRONG)
    success, answers = visitor.page.url, []
    for number in range(6):
        visitor.open(success)
        answers.append(correct(visitor, f"eve{number}@example.com"))
    assert answers == [200] * 5 + [429]
