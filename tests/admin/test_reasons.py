"""Every admin action that changes money or access is in the audit log with its actor and reason."""

import os
import pwd
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from click.testing import Result
from sqlalchemy import select
from werkzeug.routing import Rule

from portal import clock
from portal.customers import given_plans, stripe_customers, suspensions
from portal.enums import Mode
from portal.extensions import db
from portal.keys import api_keys
from portal.models import AuditEntry, Customer, OpenCall, Order, Payment, RefundRequest, UnplacedPayment
from portal.models.suspension import SuspensionReason
from tests.admin.test_permissions import SUPPORT_MAY, pages
from tests.conftest import Person
from tests.support.browsing import Browser
from tests.support.usage import agree, event, reporter
from tests.support.world import World

REASON = "The customer asked for it"
# Support may do the rest. These alone move nothing that is sold, though support may not do them.
OTHERS = {"admin_testing": "test mode", "admin_events": "shows what Stripe sent"}


def moving(here: World) -> list[Rule]:
    """The forms of the admin pages that change money or access."""
    found = [rule for rule in pages(here, "POST") if rule.endpoint not in SUPPORT_MAY]
    return [rule for rule in found if rule.endpoint.split(".")[0] not in OTHERS]


def test_each_asks_for_the_reason_and_records_it(here: World, admin: Browser, ada: Person, bob: Person) -> None:
    assert len(moving(here)) >= 9
    for rule in moving(here):
        act = ACTIONS.get(rule.endpoint)
        assert act is not None, f"{rule.endpoint} moves money or access: add what a person sends to ACTIONS"
        here.flush()
        address, page, fields = act(here, bob)
        admin.open(page)
        form = next(form for form in admin.forms() if form.action == f"{here.base}{address}")
        assert form.fields["reason"] == "", rule.endpoint
        sent = form.fields | fields
        newest = last_entry(here)
        for none in ("", " ", "x" * 256):
            refused = admin.http.post(form.action, data=sent | {"reason": none}, timeout=30)
            assert refused.status_code == 400, (rule.endpoint, none)
        assert not list(entries_since(here, newest)), rule.endpoint
        answer = admin.http.post(form.action, data=sent | {"reason": REASON}, timeout=30)
        assert answer.status_code == 200, (rule.endpoint, answer.text)
        written = list(entries_since(here, newest))
        assert written, rule.endpoint
        for entry in written:
            assert (entry.actor, entry.actor_id) == ("user", ada.user_id), (rule.endpoint, entry.action)
            assert entry.after["reason"] == REASON, (rule.endpoint, entry.action)


def last_entry(here: World) -> int:
    with here.app.app_context():
        return db.session.execute(select(AuditEntry.id).order_by(AuditEntry.id.desc()).limit(1)).scalar_one()


def entries_since(here: World, newest: int) -> list[AuditEntry]:
    with here.app.app_context():
        return list(db.session.execute(select(AuditEntry).where(AuditEntry.id > newest)).scalars())


Sent = tuple[str, str, dict[str, str]]  # the address, the page that its form is on, and what is filled in


def at(bob: Person, rest: str, **fields: str) -> Sent:
    page = f"/admin/customers/{bob.user_id}"
    return f"{page}/{rest}", page, fields


def in_days(days: int) -> str:
    return f"{clock.now() + timedelta(days=days):%Y-%m-%d}"


def differing(here: World, bob: Person) -> Sent:
    with here.app.app_context():
        order = db.session.execute(select(Order).limit(1)).scalar_one()
        order.differs = "amount"
        db.session.commit()
        return f"/admin/orders/{order.number}/difference/close", "/admin", {}


def unplaced(here: World, bob: Person) -> Sent:
    with here.app.app_context():
        row = UnplacedPayment(
            mode=Mode.LIVE, session_id="cs_unplaced", amount=2900, currency="usd", created_at=clock.now()
        )
        db.session.add(row)
        db.session.commit()
        return f"/admin/unplaced-payments/{row.id}/close", "/admin", {}


def given_plan(here: World, bob: Person) -> Sent:
    with here.app.app_context():
        given_plans.give(customer_of(bob), "enterprise", None)
        db.session.commit()
    return at(bob, "plan/end")


def customer_of(bob: Person) -> Customer:
    return stripe_customers.of(bob.user, "live")


def revoke(here: World, bob: Person) -> Sent:
    with here.app.app_context():
        key, _secret = api_keys.mint(customer_of(bob), "Production")
        db.session.commit()
        return at(bob, f"keys/{key.id}/revoke")


def refund(here: World, bob: Person) -> Sent:
    with here.app.app_context():
        payment = db.session.execute(select(Payment.id)).scalar_one()
    address = f"/admin/customers/{bob.user_id}/refund"
    return address, f"{address}?payment={payment}", {"amount": "1.00", "end": "y"}


def open_call(here: World, bob: Person, what: str) -> Sent:
    """A refund with an unknown effect, and the id of a refund at Stripe that would match it."""
    with here.app.app_context():
        payment = db.session.execute(select(Payment)).scalar_one()
        facts: dict[str, Any] = {"mode": "live", "customer_id": payment.customer_id}
        order = RefundRequest(
            payment_intent=payment.stripe_id,
            amount=100,
            currency="usd",
            nonce=f"unclear {what}",
            state="unclear",
            created_at=clock.now(),
            **facts,
        )
        db.session.add(order)
        db.session.flush()
        now = clock.now()
        call = OpenCall(
            claim="refund_orders", claim_id=order.id, called_at=now, opened_at=now, unclear_at=now, **facts
        )
        db.session.add(call)
        db.session.commit()
        address = f"/admin/open-calls/{call.id}/{what}"
        if what == "again":
            return address, "/admin", {}
        made = here.stripe().v1.refunds.create({"payment_intent": payment.stripe_id, "amount": 100})
        return address, "/admin", {"stripe_id": made.id}


def void(here: World, bob: Person) -> Sent:
    server = reporter(here, bob.email)
    with here.app.app_context():
        agree(server.customer_id)
    assert server.send(event("a slip")).json()["accepted"] == 1
    return at(bob, "usage/void", identifier="a slip", void_mode="live")


def suspension(here: World, bob: Person, what: str) -> Sent:
    with here.app.app_context():
        customer_id = customer_of(bob).id
        if what == "suspend":
            suspensions.lift(customer_id, SuspensionReason.ADMIN, about="a test")
        else:
            suspensions.add(customer_id, SuspensionReason.ADMIN, "a test")
        db.session.commit()
    return at(bob, what)


ACTIONS: dict[str, Callable[[World, Person], Sent]] = {
    "admin_customers.grant": lambda _, bob: at(bob, "credits", credits="5", expires=in_days(9), mode="live"),
    "admin_customers.extend_grace": lambda _, bob: at(bob, "grace", until=in_days(9), grace_mode="live"),
    "admin_customers.give_plan": lambda _, bob: at(bob, "plan", tier="enterprise", plan_mode="live"),
    "admin_customers.end_plan": given_plan,
    "admin_customers.suspend": lambda here, bob: suspension(here, bob, "suspend"),
    "admin_customers.reactivate": lambda here, bob: suspension(here, bob, "reactivate"),
    "admin_customers.revoke": revoke,
    "admin_customers.void_usage": void,
    "admin.close_difference": differing,
    "admin.close_payment": unplaced,
    "admin_refunds.refund": refund,
    "admin_open_calls.happened": lambda here, bob: open_call(here, bob, "happened"),
    "admin_open_calls.again": lambda here, bob: open_call(here, bob, "again"),
}


def test_a_command_names_the_account_that_ran_it_and_the_reason(here: World, ada: Person, bob: Person) -> None:
    grant = ["credits", "grant", bob.email, "5", "--expires", in_days(9)]
    newest = last_entry(here)
    assert run(here, [*grant, "--reason", REASON]).exit_code == 0
    role = ["users", "set-role", ada.email]
    assert run(here, [*role, "support", "--reason", REASON]).exit_code == 1  # whose address is not proven
    assert run(here, [*role, "customer", "--reason", REASON]).exit_code == 0
    account = pwd.getpwuid(os.getuid()).pw_name
    granted, role = entries_since(here, newest)
    assert (granted.actor, granted.after["os_user"], granted.after["reason"]) == ("command", account, REASON)
    assert (role.after["os_user"], role.after["reason"]) == (account, REASON)
    assert run(here, [*grant, "--reason", "x" * 256]).exit_code == 2


# Commands that end a person's access or role, or that let them in by less than before.
EXPLAINED = {"plans end", "users remove-second-factor", "users set-role"}
# These show something, or answer for what Stripe says; the monthly run is a scheduled task.
WITHOUT = {"operator-keys list", "customers import", "moving views", "usage check"}
GROUPS = ("credits", "customers", "moving", "operator-keys", "plans", "usage", "users")


def test_every_command_that_moves_credits_or_access_takes_a_reason(here: World) -> None:
    found = {
        f"{group} {name}": command
        for group in GROUPS
        for name, command in here.app.cli.commands[group].commands.items()
    }
    assert found.keys() >= EXPLAINED | WITHOUT
    for name, command in found.items():
        reasons = [option for option in command.params if option.name == "reason"]
        assert len(reasons) == (name not in WITHOUT), name
        assert [one.required for one in reasons] == [name in EXPLAINED] * len(reasons), name


def test_what_ends_access_is_refused_without_a_reason(here: World, ada: Person, bob: Person) -> None:
    with here.app.app_context():
        customer = customer_of(bob)
        given_plans.give(customer, "enterprise", None)
        customer_id = str(customer.id)
        db.session.commit()
    newest = last_entry(here)
    for words in (["users", "set-role", ada.email, "customer"], ["plans", "end", customer_id]):
        for none in ([], ["--reason", " "]):
            refused = run(here, [*words, *none])
            assert refused.exit_code == 2, refused.output
            assert "--reason" in refused.output
    assert entries_since(here, newest) == []
    assert run(here, ["plans", "end", customer_id, "--reason", REASON]).exit_code == 0
    (ended,) = entries_since(here, newest)
    assert (ended.action, ended.after["reason"]) == ("plan.given_ended", REASON)


def test_a_command_without_a_reason_records_its_name(here: World, bob: Person) -> None:
    newest = last_entry(here)
    assert run(here, ["credits", "grant", bob.email, "5", "--expires", in_days(9)]).exit_code == 0
    assert [entry.after["reason"] for entry in entries_since(here, newest)] == ["flask credits grant"]


def test_the_log_s_page_names_the_account_of_a_command(here: World, admin: Browser, bob: Person) -> None:
    run(here, ["credits", "grant", bob.email, "5", "--expires", in_days(9), "--reason", REASON])
    admin.open(f"/admin/audit?about={bob.email}")
    assert f"Command line ({pwd.getpwuid(os.getuid()).pw_name})" in admin.text
    assert REASON in admin.text


def run(here: World, words: list[str]) -> Result:
    return here.app.test_cli_runner().invoke(args=words)
