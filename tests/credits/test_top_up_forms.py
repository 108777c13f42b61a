"""Forms of the automatic top-up that are sent twice at once, or from a tab of before."""

import pytest
from sqlalchemy import select

from portal.extensions import db
from portal.models import AuditEntry
from tests.conftest import Person
from tests.credits.test_top_ups import TERMS, age, states, tick, use_up
from tests.credits.test_top_ups import keen as keen
from tests.support.clicks import again, at_once
from tests.support.credits import balance
from tests.support.world import World


@pytest.mark.both_databases
def test_terms_that_are_sent_twice_at_once_are_agreed_to_once(here: World, keen: Person) -> None:
    """And charged once; the form of a tab from before, sent again, charges nothing more."""
    keen.browser.open("/credits")
    form, off = keen.browser.form("Save top-up"), keen.browser.form("Turn off top-up")
    changed = TERMS | {"threshold": "2000"}
    pages = at_once(keen.browser, form, form, **changed)
    assert {page.status_code for page in pages} == {200}
    assert actions(here) == ["top_up.turned_on"] * 2  # the fixture's, and these two
    for _ in range(2):
        assert "The automatic top-up is on." in again(keen.browser, form, **changed).text
        tick(here)
    assert (states(here), balance(here)) == (["paid"], 5500)
    at_once(keen.browser, off, off)
    assert actions(here) == [*["top_up.turned_on"] * 2, "top_up.turned_off"]
    use_up(here)
    age(here, days=1)
    assert tick(here) == 0
    keen.browser.open("/credits")
    assert "Automatic top-up Off" in keen.browser.text


def actions(here: World) -> list[str]:
    """What the audit log says of top-ups that were turned on or off."""
    with here.app.app_context():
        query = select(AuditEntry.action).where(AuditEntry.action.startswith("top_up.turned_"))
        return list(db.session.execute(query.order_by(AuditEntry.id)).scalars())
