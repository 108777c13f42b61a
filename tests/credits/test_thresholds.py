"""What a falling balance makes due: a top-up, or the mail about a low balance. Nothing else is looked at."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from portal import clock
from portal.credits import ledger, low_balance
from portal.credits.top_ups import rules, top_ups
from portal.customers import suspensions
from portal.extensions import db
from portal.models import Customer, TopUpRule
from portal.models.suspension import SuspensionReason
from tests.support.books import a_customer
from tests.support.world import World

pytestmark = pytest.mark.both_databases

TERMS = rules.Terms(1000, "basic", 10_000)


def marks(customer_id: int) -> tuple[bool, bool, int | None]:
    """Whether a top-up is due, whether the mail is, and the next threshold. Ends the transaction."""
    query = select(TopUpRule.next_try_at, TopUpRule.mail_due, Customer.low_at)
    at, mail_due, low_at = db.session.execute(query.join(Customer).filter(Customer.id == customer_id)).one()
    db.session.rollback()
    return at is not None and at <= clock.now(), mail_due, low_at


def settled(customer_id: int) -> None:
    """As if both tasks had looked. Commits."""
    db.session.execute(update(TopUpRule).values(next_try_at=None, mail_due=False))
    db.session.commit()


@pytest.fixture
def dora(app: Flask) -> int:
    """Somebody with 5,000 credits who is topped up below 1,000, and mailed below 400."""
    customer_id = a_customer()
    ledger.post(customer_id, 5000, "adjustment", "start")
    rules.turn_on(customer_id, TERMS)
    low_balance.warn_at(customer_id, 400)
    db.session.commit()
    settled(customer_id)
    return customer_id


@pytest.mark.parametrize(
    ("credits", "due"),
    [
        ((-4000,), (False, False, 1000)),
        ((-4001,), (True, False, 400)),
        ((-4600,), (True, False, 400)),
        ((-4601,), (True, True, None)),
        ((-4001, -600), (True, True, None)),
        ((-4601, +4500), (True, True, 1000)),
        ((-4601, +100), (True, True, 400)),
    ],
    ids=str,
)
def test_a_balance_that_falls_below_a_threshold_makes_it_due(
    dora: int, credits: tuple[int, ...], due: tuple[bool, bool, int | None]
) -> None:
    for number, amount in enumerate(credits):
        ledger.post(dora, amount, "adjustment", f"{number}")
    db.session.commit()
    assert marks(dora) == due


def test_a_spend_that_is_sent_again_makes_nothing_due(dora: int) -> None:
    ledger.spend(dora, 4500, "work")
    db.session.commit()
    settled(dora)
    ledger.spend(dora, 4500, "work")
    db.session.commit()
    assert marks(dora) == (False, False, 400)


@pytest.mark.parametrize(
    ("change", "due"),
    [
        (lambda dora: rules.turn_on(dora, rules.Terms(9000, "basic", 10_000)), (True, False, 400)),
        (lambda dora: low_balance.warn_at(dora, 9000), (False, True, 1000)),
        (lambda dora: low_balance.warn_at(dora, 3000), (False, False, 3000)),
        (lambda dora: low_balance.warn_at(dora, None), (False, False, 1000)),
    ],
    ids=["a higher top-up", "a higher mail", "between", "no mail"],
)
def test_other_thresholds_count_at_once(
    dora: int, change: Callable[[int], object], due: tuple[bool, bool, int | None]
) -> None:
    change(dora)
    db.session.commit()
    assert marks(dora) == due


def test_a_suspension_that_ends_makes_the_top_up_due(dora: int) -> None:
    suspensions.add(dora, SuspensionReason.ADMIN, "")
    ledger.post(dora, -4500, "adjustment", "work")
    db.session.commit()
    assert top_ups.run() == 0
    assert marks(dora)[0] is False
    suspensions.lift(dora, SuspensionReason.ADMIN, about="")
    db.session.commit()
    assert marks(dora)[0] is True


def test_who_is_over_the_cap_is_not_looked_at_again_before_tomorrow(dora: int) -> None:
    rules.turn_on(dora, rules.Terms(9000, "basic", 1))
    db.session.commit()
    assert top_ups.run() == 0
    assert marks(dora)[0] is False
    assert db.session.execute(select(TopUpRule.next_try_at)).scalar_one() is not None


steps = st.lists(
    st.one_of(
        st.tuples(st.just("credits"), st.integers(-900, 900)),
        st.tuples(st.just("top-up"), st.integers(1, 1500)),
        st.tuples(st.just("mail"), st.integers(0, 1500) | st.none()),
        st.tuples(st.just("paused"), st.none()),
        st.tuples(st.just("off"), st.none()),
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(taken=steps)
def test_whatever_happens_a_threshold_is_either_due_or_waited_for(
    app: Flask, taken: list[tuple[str, int]]
) -> None:
    customer_id = a_customer(f"dora-{clock.now().timestamp()}")
    low_balance.warn_at(customer_id, 10)
    db.session.commit()
    for number, (step, value) in enumerate(taken):
        match step:
            case "credits":
                ledger.post(customer_id, value or 1, "adjustment", f"{number}")
            case "top-up":
                rules.turn_on(customer_id, rules.Terms(value, "basic", 10_000))
            case "mail":
                low_balance.warn_at(customer_id, value)
            case "paused":
                rules.pause(customer_id, "declined")
            case "off":
                rules.turn_off(customer_id)
        db.session.commit()
        _check(customer_id)


def _check(customer_id: int) -> None:
    due, mail_due, low_at = marks(customer_id)
    query = select(TopUpRule, Customer.credit_balance).join(Customer).where(Customer.id == customer_id)
    rule, balance = db.session.execute(query.execution_options(populate_existing=True)).one()
    db.session.rollback()
    for threshold, is_due in (
        (rule.threshold if rule.enabled and not rule.paused_reason else None, due),
        (rule.low_balance_at, mail_due),
    ):
        if threshold is not None:
            assert is_due if balance < threshold else low_at is not None and low_at >= threshold


def test_a_spend_beside_the_task_is_never_missed(here: World, dora: int) -> None:
    """Spends that pass both thresholds, each beside a run of the tasks that has just found enough credits."""
    start = Barrier(3)

    def spend() -> None:
        with here.app.app_context():
            start.wait()
            ledger.spend(dora, 4700, "work")
            db.session.commit()

    def look(task: Callable[[], int]) -> None:
        with here.app.app_context():
            start.wait()
            task()

    db.session.execute(update(TopUpRule).values(next_try_at=clock.now(), mail_due=True))
    db.session.commit()
    with ThreadPoolExecutor(3) as pool:
        for done in (pool.submit(spend), pool.submit(look, top_ups.run), pool.submit(look, low_balance.run)):
            done.result()
    mailed = low_balance.run()
    db.session.expire_all()
    rule = db.session.execute(select(TopUpRule)).scalar_one()
    db.session.rollback()
    assert rule.paused_reason == "no_card" or rule.next_try_at is not None  # it looked, or is about to
    assert mailed or db.session.execute(select(TopUpRule.mail_due)).scalar_one() is False
