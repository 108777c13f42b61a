"""Taking over an unclaimed user: every table has its place, and no credit is given or taken twice."""

import secrets

import pytest
from flask import Flask

from portal import clock, tokens
from portal.accounts.ownership import proof, takeover
from portal.credits import ledger
from portal.credits.orders import fulfillment, reversals
from portal.customers import owners, stripe_customers
from portal.extensions import db
from portal.keys import api_keys
from portal.models import Order, Payment, User
from portal.models.order import new_number
from tests.conftest import Person
from tests.support.books import assert_balanced, entries_of

pytestmark = pytest.mark.both_databases


def test_every_table_of_a_customer_s_is_moved_left_or_held() -> None:
    moved = {model.__tablename__ for model in takeover.MOVED}
    assert set(takeover.OF_CUSTOMER) == moved | set(takeover.LEFT) | set(takeover.HOLDING)


def take_over(unclaimed: User, account: User) -> takeover.Taken:
    """Answer that the purchase is theirs, and keep no key."""
    (taken,) = proof.decide(account, proof.Answers({unclaimed.id: True}))
    return taken


def bought(customer_id: int) -> Order:
    now = clock.now()
    order = Order(
        number=new_number(),
        customer_id=customer_id,
        mode="live",
        kind="credits",
        item="basic",
        name="Basic",
        amount=4500,
        currency="usd",
        credits=5500,
        params={},
        session_id=f"cs_live_{secrets.token_hex(8)}",
        state="paid",
        paid_at=now,
        created_at=now,
    )
    db.session.add(order)
    db.session.flush()
    return order


def test_credits_that_moved_are_not_given_again_by_a_later_sync(app: Flask, alice: Person) -> None:
    unclaimed, account = owners.of(alice.email), alice.user
    source, target = stripe_customers.of(unclaimed), stripe_customers.of(account)
    theirs, mine = bought(source.id), bought(target.id)
    for one in (theirs, mine):
        fulfillment.give(one, fulfillment.Bought(None))
    db.session.commit()
    assert take_over(unclaimed, account) == takeover.Taken()
    db.session.commit()
    db.session.refresh(theirs)
    assert theirs.customer_id == target.id
    for one in (theirs, mine):
        fulfillment.give(one, fulfillment.Bought(None))
    db.session.commit()
    assert (assert_balanced(source.id), assert_balanced(target.id)) == (0, 11000)


def test_a_refund_after_the_move_takes_no_more_than_it_is_owed(app: Flask, alice: Person) -> None:
    unclaimed, account = owners.of(alice.email), alice.user
    source, target = stripe_customers.of(unclaimed), stripe_customers.of(account)
    theirs, _mine = bought(source.id), bought(target.id)
    fulfillment.give(theirs, fulfillment.Bought(None))
    ledger.post(source.id, -550, "refund", "re_1", order_id=theirs.id)  # a tenth, before the move
    db.session.commit()
    take_over(unclaimed, account)
    payment = Payment(customer_id=target.id, mode="live", order_id=theirs.id)
    assert reversals._taken(payment) == 550
    assert entries_of(target.id)[-1] == ("adjustment", 4950, 4950)


def test_beginning_anew_and_taking_over_keep_the_order_of_locks(app: Flask, alice: Person) -> None:
    unclaimed, account = owners.of(alice.email), alice.user
    theirs, _ = api_keys.mint(stripe_customers.of(account), "made before")
    bought_key, _ = api_keys.mint(stripe_customers.of(unclaimed), "bought")
    db.session.commit()
    raw = tokens.mint(account, "reset")
    db.session.commit()
    case = proof.look(raw, "reset", None)
    assert case.way is proof.Way.ANEW
    answers = proof.Answers({unclaimed.id: True}, {bought_key.id})
    outcome = proof.finish(raw, "reset", case, answers, "a whole new password")
    db.session.commit()
    assert outcome.ended is not None
    assert outcome.ended.keys == (theirs.prefix,)
    assert [one.kept for one in outcome.taken] == [(bought_key.prefix,)]
    assert [key.prefix for key in api_keys.living(stripe_customers.of(account))] == [bought_key.prefix]
