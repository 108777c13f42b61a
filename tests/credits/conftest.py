"""Shared fixtures of the credits tests."""

import pytest
from flask import Flask

from portal.customers import stripe_customers
from portal.extensions import db
from portal.models import Customer
from tests.conftest import Person


@pytest.fixture
def mine(app: Flask, alice: Person) -> Customer:
    """Alice's customer."""
    customer = stripe_customers.of(alice.user)
    db.session.commit()
    return customer
