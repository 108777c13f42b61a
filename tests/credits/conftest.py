"""What several subjects of credits begin with."""

import pytest
from flask import Flask

from portal.extensions import db
from portal.models import Customer
from portal.purchases import customers
from tests.conftest import Person


@pytest.fixture
def mine(app: Flask, alice: Person) -> Customer:
    """Alice's customer."""
    customer = customers.of(alice.user)
    db.session.commit()
    return customer
