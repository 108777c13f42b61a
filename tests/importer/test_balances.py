"""`flask moving balances`: credits of an earlier system, without an expiry, once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from portal.credits import ledger
from portal.customers import stripe_customers
from portal.enums import Mode
from portal.extensions import db
from portal.importer import balances
from portal.models import AuditEntry, CreditEntry, Customer, OutboxMail, User
from tests.conftest import Person
from tests.support.books import a_customer, assert_balanced, entries_of
from tests.support.world import World

Run = Callable[..., str]
HEAD = "customer,credits,reference"


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    """Write a file of these lines."""

    def written(*lines: str, head: str = HEAD) -> Path:
        path = tmp_path / "balances.csv"
        path.write_text("\n".join([head, *lines]) + "\n")
        return path

    return written


@pytest.fixture
def run(app: Flask, file: Callable[..., Path]) -> Run:
    """`flask moving balances` with a file of these lines."""

    def ran(*lines: str, words: tuple[str, ...] = (), fails: bool = False, head: str = HEAD) -> str:
        command: list[Any] = ["moving", "balances", str(file(*lines, head=head)), *words]
        done = app.test_cli_runner().invoke(args=command)
        db.session.rollback()
        assert (done.exit_code != 0) is fails, done.output
        return " ".join(done.output.split())

    return ran


def test_a_balance_is_credited_without_an_expiry(run: Run) -> None:
    customer_id = a_customer()
    assert run("dora@example.com,5500,acct-17,Credits of before", head=f"{HEAD},note") == "balances new 1"
    assert entries_of(customer_id) == [("adjustment", 5500, 5500)]
    entry = db.session.execute(select(CreditEntry)).scalar_one()
    assert (entry.reference, entry.description) == ("import:acct-17", "Credits of before")
    assert db.session.get_one(Customer, customer_id).has_grants is False
    assert ledger.spendable(customer_id) == 5500
    assert_balanced(customer_id)
    assert db.session.execute(select(OutboxMail)).all() == []


def test_a_reference_is_imported_once_whatever_became_of_it(run: Run) -> None:
    customer_id = a_customer()
    lines = ("dora@example.com,100,a", "dora@example.com,50,b", "erin@example.com,7,c", "fay@example.com,0,d")
    assert run(*lines, words=("--dry-run",)) == "4 balances are right. Nothing was written."
    assert entries_of(customer_id) == []
    assert run(*lines) == "balances empty 1 balances new 3"
    ledger.spend(customer_id, 120, "call-1")
    db.session.commit()
    assert run(*lines) == "balances empty 1 balances known 3"
    assert assert_balanced(customer_id) == 30
    assert (
        db.session.execute(select(func.count()).select_from(User).filter_by(email="erin@example.com")).scalar()
        == 1
    )


def test_a_debt_comes_along(run: Run) -> None:
    customer_id = a_customer()
    run("dora@example.com,-40,a")
    assert assert_balanced(customer_id) == -40
    assert ledger.spendable(customer_id) == 0


def test_another_amount_for_a_known_reference_is_refused(run: Run) -> None:
    customer_id = a_customer()
    run("dora@example.com,100,a")
    said = run("dora@example.com,200,a", "dora@example.com,5,b", fails=True)
    assert "line 2: 100 credits were imported with this reference before" in said
    assert assert_balanced(customer_id) == 100


def test_every_fault_is_named_and_nothing_is_written(run: Run) -> None:
    customer_id = a_customer()
    said = run(
        "dora@example.com,100,a",
        "dora@example.com,100,a",
        "dora@example.com,12.5,b",
        "dora@example.com,5,",
        "nobody,5,c",
        "dora@example.com,5,d,e",
        fails=True,
    )
    assert "line 7: it has more cells" in said
    said = run("dora@example.com,100,a", "dora@example.com,100,a", "dora@example.com,1.5,b", "dora@example.com,5,",
               "nobody,5,c", fails=True)  # fmt: skip
    for words in (
        "line 3: the reference was in an earlier line",
        "line 4: credits is a whole number",
        "line 5: the reference has 1 to 200",
        "line 6: The customer is an email address",
    ):
        assert words in said
    assert entries_of(customer_id) == []


def test_an_address_waits_for_its_owner(run: Run, alice: Person) -> None:
    run(f"{alice.email},100,a", f"{alice.email},20,b")
    (holder,) = db.session.execute(select(CreditEntry.customer_id).distinct()).scalars()
    waiting = db.session.get_one(Customer, holder)
    assert (waiting.user_id != alice.user_id, waiting.user.is_waiting, waiting.credit_balance) == (True, True, 120)


def test_a_balance_joins_the_customer_that_was_imported(run: Run, app: Flask, here: World) -> None:
    stripe = here.stripe("test").v1
    for number in (1, 2):
        stripe.customers.create({"email": f"gus{number}@example.com"})
    stripe.customers.create({"email": "gus2@example.com"})
    assert app.test_cli_runner().invoke(args=["customers", "import", "--mode", "test"]).exit_code == 0
    in_test = ("--mode", "test")
    assert run("gus1@example.com,10,a", words=in_test) == "balances new 1"
    adopted = select(AuditEntry.customer_id).filter_by(action="customer.adopted")
    entry = db.session.execute(select(CreditEntry)).scalar_one()
    assert entry.customer_id in db.session.execute(adopted).scalars().all()
    said = run("gus2@example.com,10,b", words=in_test, fails=True)
    assert "Several customers of the Stripe account have this address" in said
    for left in stripe.customers.list({"limit": 100}).data:
        stripe.customers.delete(left.id)


@pytest.mark.both_databases
def test_two_imports_at_once_credit_once(app: Flask, file: Callable[..., Path]) -> None:
    path = file(*(f"user{number}@example.com,10,ref-{number}" for number in range(5)))
    found = balances.read(path, Mode.LIVE)
    db.session.commit()

    def bring(_number: int) -> list[str]:
        with app.app_context():
            done = list(balances.bring(found, Mode.LIVE))
            db.session.remove()
            return done

    with ThreadPoolExecutor(3) as pool:
        outcomes = [one for done in pool.map(bring, range(3)) for one in done]
    assert (outcomes.count("new"), outcomes.count("known")) == (5, 10)
    assert db.session.execute(select(func.sum(CreditEntry.amount))).scalar_one() == 50
    assert db.session.execute(select(func.count()).select_from(User)).scalar_one() == 5
    assert stripe_customers.by_stripe_id(Mode.LIVE, "cus_none") is None
