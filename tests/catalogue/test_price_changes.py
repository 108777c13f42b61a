"""A price is changed: new buyers pay the new one, and those who have the old one keep it and their tier."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from portal.billing import subscriptions
from portal.catalogue import catalogue_file, load, push
from portal.customers import access
from portal.enums import Mode
from portal.extensions import db
from portal.models import Customer, Meter, Plan, Price, Subscription
from portal.settings.model import CATALOGUE
from tests.conftest import Person
from tests.support.world import World

pytestmark = pytest.mark.both_databases


def raised(folder: Path) -> catalogue_file.Catalogue:
    """Return the catalogue with Pro at $59.99 a month under another lookup key."""
    text = CATALOGUE.read_text(encoding="utf-8")
    old = next(
        price
        for plan in catalogue_file.read(CATALOGUE).plans
        for price in plan.prices
        if price.key == "pro-monthly"
    )
    assert text.count(f'"{old.lookup_key}"') == 1
    changed = text.replace(f'"{old.lookup_key}"', '"pro_monthly_raised"').replace("49.99", "59.99", 1)
    path = folder / "catalogue.toml"
    path.write_text(changed, encoding="utf-8")
    return catalogue_file.read(path)


def rows() -> list[tuple[int, bool, str | None]]:
    query = select(Price.amount, Price.withdrawn, Price.live_price_id).filter_by(key="pro-monthly")
    found = db.session.execute(query.order_by(Price.id)).all()
    db.session.commit()
    return [tuple(row) for row in found]


def change(catalogue: catalogue_file.Catalogue, **price_ids: str) -> None:
    load.into_database(catalogue, {name.replace("_", "-"): value for name, value in price_ids.items()})
    db.session.commit()


def test_a_raised_price_is_for_new_buyers_alone(here: World, bob: Person, alice: Person, tmp_path: Path) -> None:
    with here.app.app_context():
        ((_, _, old),) = rows()
        change(raised(tmp_path))
        list(push.push(Mode.LIVE))
        (before, now) = rows()
        assert before == (4999, True, old)
        assert now[:2] == (5999, False)
        assert now[2] not in (None, old)
    alice.browser.buy("pro-monthly")
    here.flush()
    with here.app.app_context():
        found = db.session.execute(select(Subscription).order_by(Subscription.id)).scalars().all()
        for one in found:
            subscriptions.sync(one.mode, one.stripe_id)
            db.session.commit()
        assert [(one.price_id, one.amount, one.tier) for one in found] == [
            (old, 4999, "pro"),
            (now[2], 5999, "pro"),
        ]
        assert [access.of(one).tier for one in db.session.execute(select(Customer)).scalars()] == ["pro", "pro"]
        assert (
            len(
                {
                    price.product
                    for price in here.stripe().v1.prices.list({"active": True})
                    if price.id in (old, now[2])
                }
            )
            == 1
        )
        change(catalogue_file.read(CATALOGUE))  # and back
        assert rows() == [(4999, False, old), (5999, True, now[2])]


def test_new_lookup_keys_for_all_cycles_of_a_plan_create_no_second_product(here: World) -> None:
    with here.app.app_context():
        catalogue = catalogue_file.read(CATALOGUE)
        plan = next(plan for plan in catalogue.plans if plan.key == "pro")
        prices = tuple(replace(one, lookup_key=f"{one.lookup_key}_new") for one in plan.prices)
        change(replace(catalogue, plans=(replace(plan, prices=prices),)))
        before = db.session.execute(select(Plan.live_product_id).filter_by(key="pro")).scalar_one()
        made = [one for one in push.push(Mode.LIVE) if one.what == "created"]
        assert {one.key for one in made} >= {one.key for one in prices}
        products = {here.stripe().v1.prices.retrieve(str(one.stripe_id)).product for one in made if one.stripe_id}
        assert before in products
        after = db.session.execute(select(Plan.live_product_id).filter_by(key="pro")).scalar_one()
        assert (after, len(products)) == (before, 1)


def test_another_id_in_the_setting_keeps_the_previous_one(here: World) -> None:
    with here.app.app_context():
        ((_, _, old),) = rows()
        test = db.session.execute(select(Price.test_price_id).filter_by(key="pro-monthly")).scalar_one()
        catalogue = catalogue_file.read(CATALOGUE)
        change(catalogue, pro_monthly="price_another")
        assert rows() == [(4999, True, old), (4999, False, "price_another")]
        held = select(Price.test_price_id).filter_by(key="pro-monthly", withdrawn=False)
        assert db.session.execute(held).scalar_one() == test
        change(catalogue, pro_monthly=str(old))
        assert rows() == [(4999, False, old), (4999, True, "price_another")]
        assert db.session.execute(held).scalar_one() == test


def test_plans_and_meters_come_go_hide_and_change_their_names(here: World, bob: Person) -> None:
    catalogue = catalogue_file.read(CATALOGUE)
    pro = next(plan for plan in catalogue.plans if plan.key == "pro")
    others = tuple(plan for plan in catalogue.plans if plan is not pro)
    new = replace(pro, key="team", tier="team", name="Team", position=99, prices=())
    meters = catalogue.meters
    with here.app.app_context():
        owner = db.session.execute(select(Customer)).scalars().one()
        for plans, state in (
            ((*others, replace(pro, name="Professional")), ("Professional", False, False)),
            ((*others, replace(pro, hidden=True)), ("Pro", True, False)),
            ((*others, new), ("Pro", True, True)),
            ((*others, pro), ("Pro", False, False)),
        ):
            change(replace(catalogue, plans=plans, meters=meters[1:] if new in plans else meters))
            row = db.session.execute(select(Plan).filter_by(key="pro")).scalar_one()
            assert (row.name, row.hidden, row.withdrawn) == state
            assert access.of(owner).tier == "pro"
            gone = db.session.execute(select(Meter.withdrawn).filter_by(key=meters[0].key)).scalar_one()
            assert gone is (new in plans)
        assert db.session.execute(select(Plan.withdrawn).filter_by(key="team")).scalar_one() is True
