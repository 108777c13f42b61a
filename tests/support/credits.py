"""Credits bought by a person of the cast, and the resulting ledger."""

from typing import TYPE_CHECKING

from sqlalchemy import select

from portal.extensions import db
from portal.models import CreditEntry, Customer, Order
from tests.support.browsing import CARD
from tests.support.world import World

if TYPE_CHECKING:
    from tests.conftest import Person

BASIC = ("purchase", 5500, 5500)  # what buying Basic writes into an empty ledger


def balance(here: World, mode: str = "live") -> int:
    """The stored balance."""
    with here.app.app_context():
        return db.session.execute(select(Customer.credit_balance).filter_by(mode=mode)).scalar_one()


def entries(here: World) -> list[tuple[str, int, int]]:
    """Reason, amount and balance after of each entry, oldest first."""
    with here.app.app_context():
        query = select(CreditEntry.reason, CreditEntry.amount, CreditEntry.balance_after).order_by(CreditEntry.id)
        return [tuple(row) for row in db.session.execute(query)]


def begin(person: "Person", package: str = "Basic") -> None:
    """Go to the checkout page of a package."""
    person.browser.open("/credits")
    person.browser.press(f"Buy {package}")


def buy(here: World, person: "Person", card: str = CARD) -> str:
    """Buy Basic, 5,500 credits for $45, with this card, and return the payment intent."""
    begin(person)
    person.browser.pay(card)
    with here.app.app_context():
        return str(db.session.execute(select(Order.payment_intent).filter_by(kind="credits")).scalar_one())


def moves(here: World) -> list[tuple[str, int]]:
    """Reason and amount of each entry, oldest first; the stored balance is their sum."""
    found = [(reason, amount) for reason, amount, _ in entries(here)]
    assert balance(here) == sum(amount for _, amount in found)
    return found


def session_id(here: World) -> str:
    """The Checkout Session of the only purchase."""
    with here.app.app_context():
        return str(db.session.execute(select(Order.session_id)).scalar_one())
