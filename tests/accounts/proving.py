"""An account that somebody made with another person's address, and the links that verify it."""

import re

import pytest

from portal import mail
from portal.accounts import users
from portal.customers import stripe_customers
from portal.extensions import db
from portal.keys import api_keys

from .conftest import PASSWORD, Browser, mails

VICTIM = "vera@example.com"
NEW = "a whole new password"


@pytest.fixture
def attacker(house):
    """A browser that signed up with another person's address."""
    browser = Browser(house)
    browser.post("/signup", email=VICTIM, password=PASSWORD, name="Mallory")
    return browser


def account(house):
    return users.find(VICTIM)


def a_key(house, name="theirs"):
    """Return the secret of a new key of the account."""
    with house.app_context():
        _, secret = api_keys.mint(stripe_customers.of(account(house)), name)
        db.session.commit()
        return secret


def answer(house, secret):
    return house.test_client().get("/v1/receipt", headers={"Authorization": f"Bearer {secret}"}).status_code


def fields(page):
    """Return the names of the questions that a page asks."""
    return sorted(set(re.findall(r'name="((?:purchase|key)_\d+)"', page.text)))


def mailed_link(house):
    """Send due mails and return the path of the newest link that verifies an address."""
    with house.app_context():
        mail.send_due()
    texts = [one.get_body(("plain",)).get_content() for one in mails(house.extensions["settings"])]
    links = [re.search(r"portal\.test:9250(/(?:verify|claim|password/reset)/\S+)", text) for text in texts]
    return [link[1] for link in links if link][-1]


def forgotten(house, browser):
    """Request a new password and return the mailed path."""
    browser.post("/password/forgot", email=VICTIM)
    return mailed_link(house)
