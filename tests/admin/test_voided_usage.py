"""Usage that an admin voids on the customer's page."""

from datetime import timedelta

from sqlalchemy import select

from portal import clock
from portal.extensions import db
from portal.models import AuditEntry, UsageDay, UsageEvent
from tests.conftest import Person
from tests.support.browsing import Browser
from tests.support.usage import agree, event, reporter, summed
from tests.support.world import World


def used(here: World, customer_id: int) -> int:
    with here.app.app_context():
        events = summed(UsageEvent, customer_id)
        assert summed(UsageDay, customer_id) == events
    return int(events["api_calls"])


def test_an_admin_voids_on_the_customer_s_page(here: World, admin: Browser, alice: Person) -> None:
    server = reporter(here, alice.email)
    with here.app.app_context():
        agree(server.customer_id)
        db.session.remove()
    old = (clock.now() - timedelta(minutes=1)).isoformat()
    assert server.send(event("a", 12, timestamp=old)).json()["accepted"] == 1
    admin.open(f"/admin/customers/{alice.user_id}")
    assert admin.press("Void usage", reason="", identifier="a", void_mode="live").status_code == 400
    assert admin.press("Void usage", reason="A slip", identifier="b", void_mode="live").status_code == 404
    assert "no usage under this identifier" in admin.text
    assert used(here, server.customer_id) == 12
    admin.press("Void usage", reason="A slip", identifier="a", void_mode="live")
    assert "api_calls 12 was taken off" in admin.text
    assert used(here, server.customer_id) == 0
    with here.app.app_context():
        entry = db.session.execute(select(AuditEntry).filter_by(action="usage.voided")).scalar_one()
        assert (entry.actor, entry.after["reason"]) == ("user", "A slip")


def test_a_role_is_given_with_a_reason(here: World, alice: Person) -> None:
    words = ["users", "set-role", alice.email, "support", "--reason", "Joined the team"]
    refused = here.app.test_cli_runner().invoke(args=words)
    assert refused.exit_code == 1
    assert "is not verified yet" in refused.output
    with here.app.app_context():
        alice.user.verified_at = clock.now()
        db.session.commit()
    assert here.app.test_cli_runner().invoke(args=words).exit_code == 0
    with here.app.app_context():
        entry = db.session.execute(select(AuditEntry).filter_by(action="role.given")).scalars().all()[-1]
        assert (entry.after["role"], entry.after["reason"]) == ("support", "Joined the team")
