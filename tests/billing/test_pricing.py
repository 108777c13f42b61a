"""The pricing page lists what plans include, written from their numbers."""

from sqlalchemy import update

from portal.extensions import db
from portal.models import Plan
from tests.support.browsing import Browser
from tests.support.world import World


def include(here: World, tier: str, **numbers: object) -> None:
    with here.app.app_context():
        db.session.execute(update(Plan).where(Plan.tier == tier).values(numbers))
        db.session.commit()
        db.session.remove()


def test_what_a_plan_includes_is_a_feature_made_from_its_numbers(here: World, visitor: Browser) -> None:
    include(here, "pro", credits=20_000, included={"api_calls": 50_000, "cpu_hour": 10})
    include(here, "enterprise", credits=90_000, rollover=1)
    visitor.open("/pricing")
    assert "20,000 credits a month 50,000 API calls a month 10 CPU hours a month" in visitor.text
    assert "90,000 credits a month; unused ones roll over for 1 month" in visitor.text
