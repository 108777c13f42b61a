"""Returned money: refunds that are pending or fail, disputes and inquiries."""

from typing import Any

import pytest
import requests
import stripe

from tests.sandbox.conftest import Sandbox, eventually
from tests.sandbox.hook import Hook

FEE = 88  # 2.9% of $20 and 30 cents, which do not come back
DISPUTE_FEE = 1500
CONFIRM = {"amount": 2000, "currency": "usd", "confirm": True}


def funds(api: Any) -> int:
    """Return the account's balance, in cents."""
    found: int = api.balance.retrieve().available[0].amount
    return found


def refund(api: Any, card: str, amount: int) -> Any:
    intent = api.payment_intents.create({**CONFIRM, "payment_method": card})
    return api.refunds.create({"payment_intent": intent.id, "amount": amount})


def test_a_refund_may_come_back_after_it_had_succeeded(api: Any, hook: Hook) -> None:
    before = funds(api)
    made = refund(api, "pm_card_refundFail", 500)
    assert made.status == "succeeded"
    eventually(lambda: made.id in hook.objects("refund.failed"))
    failed = api.refunds.retrieve(made.id, {"expand": ["failure_balance_transaction", "charge"]})
    assert (failed.status, failed.failure_balance_transaction.amount) == ("failed", 500)
    assert (failed.charge.amount_refunded, failed.charge.refunded) == (0, False)
    assert funds(api) == before + 2000 - FEE
    assert made.id in hook.objects("refund.updated")
    assert made.id in hook.objects("charge.refund.updated")


def test_a_refund_may_be_pending_until_it_succeeds(api: Any, hook: Hook) -> None:
    made = refund(api, "pm_card_pendingRefund", 2000)
    assert made.status == "pending"
    eventually(lambda: made.id in hook.objects("refund.updated"))
    assert api.refunds.retrieve(made.id).status == "succeeded"
    assert made.id not in hook.objects("refund.failed")


def dispute(api: Any, card: str) -> Any:
    intent = api.payment_intents.create({**CONFIRM, "payment_method": card})
    return api.disputes.list({"payment_intent": intent.id}).data[0]


def answer(api: Any, disputed: Any, words: str) -> Any:
    return api.disputes.update(disputed.id, {"evidence": {"uncategorized_text": words}, "submit": True})


@pytest.mark.parametrize(
    ("words", "status", "kept", "said"),
    [
        ("winning_evidence", "won", 2000, ["funds_withdrawn", "updated", "funds_reinstated", "closed"]),
        ("losing_evidence", "lost", 0, ["funds_withdrawn", "updated", "closed"]),
    ],
)
def test_a_dispute_is_decided_by_its_evidence(
    api: Any, words: str, status: str, kept: int, said: list[str]
) -> None:
    before = funds(api)
    disputed = dispute(api, "pm_card_createDispute")
    before -= FEE + DISPUTE_FEE
    assert (disputed.status, disputed.amount, funds(api)) == ("needs_response", 2000, before)
    assert api.charges.retrieve(disputed.charge).disputed is True
    with pytest.raises(stripe.InvalidRequestError, match="charged back") as raised:
        api.refunds.create({"charge": disputed.charge})
    assert raised.value.code == "charge_disputed"
    assert answer(api, disputed, words).status == status
    assert funds(api) == before + kept
    assert events_about(api, disputed) == ["created", *said]
    with pytest.raises(stripe.InvalidRequestError, match="already closed"):
        api.disputes.close(disputed.id)


def events_about(api: Any, disputed: Any) -> list[str]:
    """Return the events of a dispute, oldest first."""
    recent = api.events.list({"limit": 20}).data
    about = [event.type for event in recent if event.data.object.id == disputed.id]
    return [type_.removeprefix("charge.dispute.") for type_ in reversed(about)]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("winning_evidence", "warning_closed", ["updated", "closed"]),
        ("escalate_inquiry_evidence", "needs_response", ["updated", "updated", "funds_withdrawn"]),
    ],
)
def test_an_inquiry_takes_no_money_unless_it_becomes_a_dispute(
    api: Any, words: str, status: str, said: list[str]
) -> None:
    asked = dispute(api, "pm_card_createDisputeInquiry")
    assert (asked.status, asked.is_charge_refundable, asked.balance_transactions) == (
        "warning_needs_response",
        True,
        [],
    )
    assert answer(api, asked, words).status == status
    assert events_about(api, asked) == ["created", *said]


def test_evidence_can_be_prepared_and_sent_later(api: Any) -> None:
    disputed = dispute(api, "pm_card_createDispute")
    prepared = {"evidence": {"uncategorized_text": "winning_evidence"}, "submit": False}
    assert api.disputes.update(disputed.id, prepared).status == "needs_response"
    assert api.disputes.update(disputed.id, {"submit": True}).status == "won"


def test_a_dispute_that_nobody_answers_is_lost(api: Any) -> None:
    clock = api.test_helpers.test_clocks.create({"frozen_time": 1_800_000_000})
    dan = api.customers.create({"test_clock": clock.id})
    intent = api.payment_intents.create({**CONFIRM, "customer": dan.id, "payment_method": "pm_card_createDispute"})
    disputed = api.disputes.list({"payment_intent": intent.id}).data[0]
    api.test_helpers.test_clocks.advance(clock.id, {"frozen_time": 1_800_000_000 + 8 * 86400})
    assert api.disputes.retrieve(disputed.id).status == "lost"


def test_a_test_can_say_when_the_bank_answers(sandbox: Sandbox, api: Any) -> None:
    sandbox.config("settlements", hold=True)
    made = refund(api, "pm_card_pendingRefund", 100)
    assert sandbox.config("settlements/flush")["settlements"] == {"hold": True}
    assert api.refunds.retrieve(made.id).status == "succeeded"


def test_a_payment_is_disputed_on_demand(api: Any, hook: Hook, sandbox: Sandbox) -> None:
    intent = api.payment_intents.create({**CONFIRM, "payment_method": "pm_card_visa"})
    before = funds(api)
    made = sandbox.config(f"disputes/{intent.id}")
    assert (made["object"], made["payment_intent"], made["status"]) == ("dispute", intent.id, "needs_response")
    assert funds(api) == before - 2000 - DISPUTE_FEE
    eventually(lambda: made["id"] in hook.objects("charge.dispute.created"))
    for path in (intent.id, "pi_nobody"):
        assert requests.post(f"{sandbox.base}/_config/disputes/{path}", timeout=30).status_code in (400, 404)


def test_an_object_is_shown_where_stripe_s_dashboard_would_show_it(api: Any, sandbox: Sandbox) -> None:
    dora = api.customers.create({"email": "dora@example.com"})
    shown = requests.get(f"{sandbox.base}/dashboard/test/customers/{dora.id}", timeout=30)
    assert "dora@example.com" in shown.text
    found = requests.get(f"{sandbox.base}/dashboard/test/search", {"query": dora.id}, timeout=30)
    assert found.text == shown.text
    intent = api.payment_intents.create({**CONFIRM, "customer": dora.id, "payment_method": "pm_card_visa"})
    leading = requests.get(f"{sandbox.base}/dashboard/test/payments/{intent.id}", timeout=30).text
    assert f'"<a href="/dashboard/acct_reversals/test/search?query={dora.id}">{dora.id}</a>"' in leading
    assert '"capture_method": "automatic_async"' in leading.replace("&#34;", '"')
    for address in (f"customers/{dora.id}", "test/customers/cus_nobody"):
        assert requests.get(f"{sandbox.base}/dashboard/{address}", timeout=30).status_code == 404
