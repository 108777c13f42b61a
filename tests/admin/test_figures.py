"""The page of figures, against months made by hand."""

import csv
import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select, update

from portal import clock, money
from portal.enums import Mode
from portal.extensions import db
from portal.figures import daily, movements, report
from portal.models import MovementKind, Subscription
from tests.conftest import Person
from tests.support.browsing import Browser
from tests.support.looking import counted
from tests.support.world import World

NOW = datetime(2026, 11, 15, tzinfo=UTC)
# What was booked: day, currency, kind, amount, from and to.
BOOKED = (
    (date(2025, 6, 1), "usd", "opening", 10000, None),
    (date(2025, 11, 30), "usd", "new", 5000, "free>pro"),  # before the twelve months
    (date(2025, 12, 1), "usd", "new", 2000, "free>starter"),
    (date(2026, 9, 30), "usd", "expansion", 3000, "starter>pro"),
    (date(2026, 10, 31), "usd", "churn", -5000, "pro>free"),
    (date(2026, 10, 2), "usd", "contraction", -1000, None),
    (date(2026, 11, 1), "usd", "reactivation", 7000, "free>pro"),
    (date(2026, 11, 3), "jpy", "new", 900, "free>starter"),
)


def fill() -> None:
    for day, currency, kind, amount, plans in BOOKED:
        daily.add(Mode.LIVE, day, f"mrr.{kind}", currency, amount)
        daily.add(Mode.LIVE, day, f"subscriptions.{kind}", currency, 1)
        if plans:
            daily.add(Mode.LIVE, day, f"plans.{plans}", currency, 1)
    db.session.commit()


@pytest.mark.both_databases
def test_the_movements_are_the_rows_behind_the_figures(here: World, admin: Browser, bob: Person) -> None:
    with here.app.app_context():
        db.session.execute(update(Subscription).values(mrr_since=clock.now() - timedelta(hours=1)))
        db.session.commit()
        assert movements.run() == 1
        row = db.session.execute(select(Subscription)).scalar_one()
        stripe_id, amount = row.stripe_id, money.major(row.mrr, row.currency)
    (line,) = csv.DictReader(io.StringIO(admin.open("/admin/figures/movements.csv").text))
    assert (line["Kind"], line["Subscription"], line["To plan"], line["From plan"]) == (
        "new",
        stripe_id,
        "pro",
        "",
    )
    assert Decimal(line["Amount"]) == Decimal(line["MRR after"]) == amount
    assert len(admin.open("/admin/figures/movements.csv?mode=test").text.splitlines()) == 1


@pytest.mark.both_databases
def test_months_are_what_was_booked_in_them(here: World) -> None:
    with here.app.app_context():
        fill()
        found = report.months(Mode.LIVE, NOW)
        assert report.months(Mode.TEST, NOW) == {}
    usd = {f"{one.month:%Y-%m}": one for one in found["usd"]}
    assert [*usd][0::11] == ["2025-12", "2026-11"]
    assert [usd[month].mrr for month in ("2025-12", "2026-08", "2026-09", "2026-10", "2026-11")] == [
        17000, 17000, 20000, 14000, 21000,
    ]  # fmt: skip
    assert [usd[month].active for month in ("2025-12", "2026-09", "2026-10", "2026-11")] == [3, 3, 2, 3]
    october, november = usd["2026-10"], usd["2026-11"]
    assert (october.mrr_before, october.lost, october.gross_churn, october.net_churn) == (
        20000, 6000, Decimal("30.0"), Decimal("30.0"),
    )  # fmt: skip
    assert (november.gross_churn, november.net_churn) == (Decimal("0.0"), Decimal("-50.0"))
    assert usd["2026-09"].plans == {("starter", "pro"): 1}
    assert usd["2026-09"].net_churn == Decimal("-17.6")
    assert (november.arr, november.arpu) == (12 * 21000, 7000)
    assert november.counted[MovementKind.REACTIVATION] == 1
    yen = found["jpy"][-1]
    assert (yen.mrr, yen.active, yen.mrr_before, yen.gross_churn) == (900, 1, 0, None)


def test_the_page_and_its_csv_show_each_currency(here: World, admin: Browser) -> None:
    assert "No subscription has been paid yet" in admin.open("/admin/figures").text
    with here.app.app_context():
        fill()
    with counted(here) as statements:
        page = admin.open("/admin/figures")
    assert len(statements) <= 3, statements
    assert "¥900" in page.text
    assert "$210" in page.text
    assert "From free to pro" in page.text
    lines = list(csv.DictReader(io.StringIO(admin.open("/admin/figures.csv").text)))
    assert len(lines) == 24
    assert {line["Currency"] for line in lines} == {"USD", "JPY"}
    assert "No subscription has been paid yet" in admin.open("/admin/figures?mode=test").text
    admin.open("/admin")
    assert "MRR in USD $210.00" in admin.text
