"""Plans that an admin gives: to accounts, to addresses that wait, until a date, extended, replaced and ended."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from click.testing import Result
from flask import Flask
from sqlalchemy import select

from portal import clock
from portal.customers import access, given_plans, stripe_customers
from portal.errors import InvalidInput, NotFound
from portal.extensions import db
from portal.models import AuditEntry, Customer, GivenPlan, OutboxMail
from tests.conftest import Person
from tests.support.books import a_customer
from tests.support.browsing import Browser
from tests.support.world import World

DAY = timedelta(days=1)


@pytest.fixture
def dora(app: Flask) -> Customer:
    return db.session.get_one(Customer, a_customer())


def tier(customer: Customer, later: timedelta = timedelta(0)) -> str:
    return access.of(customer, clock.now() + later).tier


def mails(template: str) -> int:
    query = select(OutboxMail).filter_by(template=template)
    return len(db.session.execute(query).scalars().all())


def audited() -> list[str]:
    query = select(AuditEntry.action).where(AuditEntry.action.like("plan.given%")).order_by(AuditEntry.id)
    return list(db.session.execute(query).scalars())


def flask(app: Flask, *args: str) -> Result:
    return app.test_cli_runner().invoke(args=["plans", *args])


def test_a_given_plan_gives_access_until_its_date_to_the_second(dora: Customer) -> None:
    version, until = dora.access_version, clock.now() + 10 * DAY
    given_plans.give(dora, "pro", until)
    db.session.commit()
    mine = access.of(dora, until - timedelta(seconds=1))
    assert (mine.tier, mine.status, mine.until) == ("pro", "active", until)
    assert access.of(dora, until).tier == "free"
    db.session.refresh(dora)
    assert dora.access_version > version
    assert (mails("plan_given"), audited()) == (1, ["plan.given"])


def test_the_same_again_changes_nothing_and_another_date_extends(dora: Customer) -> None:
    until = clock.now() + DAY
    first = given_plans.give(dora, "pro", until)
    assert given_plans.give(dora, "pro", until) is first
    assert given_plans.give(dora, "pro", until + DAY) is first
    assert given_plans.give(dora, "pro", None) is first
    assert tier(dora, 1000 * DAY) == "pro"
    assert audited() == ["plan.given", "plan.given_until", "plan.given_until"]
    assert mails("plan_given") == 3


def test_another_plan_replaces_it(dora: Customer) -> None:
    given_plans.give(dora, "pro", None)
    given_plans.give(dora, "beta", None)
    assert tier(dora) == "beta"
    assert audited() == ["plan.given", "plan.given_ended", "plan.given"]


def test_an_ended_plan_gives_nothing_and_is_mailed_once(dora: Customer) -> None:
    given_plans.give(dora, "pro", None)
    given_plans.end(dora)
    assert tier(dora) == "free"
    with pytest.raises(NotFound):
        given_plans.end(dora)
    assert mails("plan_given_ended") == 1


def test_the_task_closes_what_is_over_and_nothing_else(dora: Customer) -> None:
    other = db.session.get_one(Customer, a_customer("emil"))
    given_plans.give(dora, "pro", clock.now() + DAY)
    given_plans.give(other, "pro", None)
    db.session.commit()
    assert given_plans.sweep() == 0
    with time_machine.travel(clock.now() + 2 * DAY):
        assert (given_plans.sweep(), given_plans.sweep()) == (1, 0)
        assert (given_plans.open_one(dora), tier(other)) == (None, "pro")
        assert mails("plan_given_ended") == 1


@pytest.mark.parametrize("plan", ["free", "nothing", ""])
def test_only_plans_of_the_catalogue_are_given(dora: Customer, plan: str) -> None:
    with pytest.raises(InvalidInput):
        given_plans.give(dora, plan, None)


def test_a_date_that_has_passed_is_refused(dora: Customer) -> None:
    with pytest.raises(InvalidInput):
        given_plans.give(dora, "pro", clock.now())


def test_a_subscription_to_a_higher_plan_outranks_it(here: World, bob: Person) -> None:
    with here.app.app_context():
        customer = db.session.execute(select(Customer).filter_by(user_id=bob.user_id)).scalar_one()
        given_plans.give(customer, "starter", None)
        assert access.of(customer).subscription is not None
        given_plans.give(customer, "enterprise", None)
        assert access.of(customer).tier == "enterprise"


def test_the_command_gives_by_customer_id_and_by_proven_address(here: World, app: Flask, alice: Person) -> None:
    alice.prove()
    done = flask(app, "give", alice.email, "beta", "--until", "2099-12-31", "--reason", "beta tester")
    assert done.output == f"{alice.email} has beta until the end of 2099-12-31 UTC.\n"
    (row,) = db.session.execute(select(GivenPlan)).scalars()
    customer = db.session.get_one(Customer, row.customer_id)
    assert customer.user_id == alice.user_id
    assert flask(app, "give", str(customer.id), "pro", "--reason", "upgrade").exit_code == 0
    assert tier(customer) == "pro"
    assert flask(app, "end", alice.email, "--reason", "over").exit_code == 0
    assert tier(customer) == "free"
    entry = db.session.execute(select(AuditEntry).filter_by(action="plan.given")).scalars().first()
    assert entry is not None
    assert (entry.after or {})["reason"] == "beta tester"


def test_an_address_that_nobody_proved_keeps_one_plan_for_its_owner(app: Flask, alice: Person) -> None:
    for plan in ("beta", "pro"):
        done = flask(app, "give", alice.email, plan, "--reason", "sales")
        assert "No account has proven this address" in done.output
    (holder,) = {row.customer_id for row in db.session.execute(select(GivenPlan)).scalars()}
    customer = db.session.get_one(Customer, holder)
    assert not customer.user.is_claimed
    assert tier(customer) == "pro"
    known = stripe_customers.find(alice.user)
    assert known is None or access.of(known).tier == "free"


@pytest.mark.parametrize("who", ["nobody", "99999999", "-1", "1" * 30, "a@b"])
def test_the_command_refuses_who_is_not_there(app: Flask, who: str) -> None:
    done = flask(app, "give", "--reason", "x", "--", who, "pro")
    assert done.exit_code == 1
    assert "no customer" in done.output


def test_an_admin_gives_and_ends_on_the_customer_s_page(here: World, ada: Person, alice: Person) -> None:
    page: Browser = ada.browser
    page.open(f"/admin/customers/{alice.user_id}")
    assert (
        page.press("Give the plan", plan_mode="live", tier="pro", last_day="2000-01-01", reason="x").status_code
        == 400
    )
    page.press("Give the plan", plan_mode="live", tier="pro", last_day="2099-12-31", reason="Friend of the house")
    assert "31 December 2099" in page.text
    assert "was given by an admin" in page.text
    alice.browser.open("/billing")
    assert "We gave you this plan until 31 December 2099" in alice.browser.text
    page.press("End the given plan", reason="over")
    assert "We gave you" not in alice.browser.open("/billing").text


@pytest.mark.both_databases
def test_two_admins_give_at_once_and_one_plan_stands(here: World, app: Flask, dora: Customer) -> None:
    db.session.commit()
    customer_id: int = dora.id

    def give(plan: str) -> Any:
        with here.app.app_context():
            given_plans.give(db.session.get_one(Customer, customer_id), plan, None)
            db.session.commit()
            db.session.remove()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(give, ["pro", "beta", "starter", "pro"]))
    rows = db.session.execute(select(GivenPlan).filter_by(ended_at=None)).scalars().all()
    assert len(rows) == 1
