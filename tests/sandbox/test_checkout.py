"""The hosted checkout page, in every mode and with every card."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.sandbox.conftest import Sandbox, eventually
from tests.sandbox.hook import Hook
from tests.sandbox.hosted import submit, visit

Begin = Callable[..., Any]


def about(hook: Hook, type_: str, id_: str) -> dict[str, Any] | None:
    """Return the object in an event of this type, or None until the event arrives."""
    objects = (event["data"]["object"] for event in hook.named(type_))
    return next((found for found in objects if found["id"] == id_), None)


def test_a_card_that_works_buys_a_subscription(api: Any, begin: Begin, monthly: Any, alice: Any) -> None:
    extra = {"subscription_data": {"metadata": {"purchase": "7"}}, "client_reference_id": "u1"}
    session = begin("subscription", monthly, customer=alice.id, **extra)
    page = submit(session.url)
    assert (page.status, page.leads_to) == (303, f"http://shop.example/done?session_id={session.id}")
    expand = {"expand": ["subscription", "invoice.payments", "line_items"]}
    paid = api.checkout.sessions.retrieve(session.id, expand)
    assert (paid.status, paid.payment_status, paid.amount_total) == ("complete", "paid", 4999)
    assert (paid.subscription.status, paid.subscription.metadata["purchase"]) == ("active", "7")
    assert paid.subscription["items"].data[0].price.id == paid.line_items.data[0].price.id == monthly.id
    assert (paid.invoice.status, paid.invoice.amount_paid) == ("paid", 4999)
    assert paid.invoice.parent.subscription_details.subscription == paid.subscription.id
    assert paid.invoice.payments.data[0].payment.payment_intent.startswith("pi_")


def test_a_declined_card_is_explained_and_another_may_be_tried(api: Any, begin: Begin, monthly: Any) -> None:
    session = begin("subscription", monthly)
    page = submit(session.url, "4000 0000 0000 0002")
    assert page.status == 402
    assert page.complaints == ["Your card was declined. Please try a different card."]
    assert api.checkout.sessions.retrieve(session.id).status == "open"
    assert submit(session.url).status == 303


@pytest.mark.parametrize("mode", ["payment", "subscription"])
def test_authentication_may_be_completed(api: Any, begin: Begin, monthly: Any, once: Any, mode: str) -> None:
    session = begin(mode, monthly if mode == "subscription" else once)
    page = submit(session.url, "4000 0025 0000 3155")
    assert page.leads_to.endswith("/authenticate")
    assert "Complete" in visit(session.url + "/authenticate").text
    assert submit(session.url + "/authenticate", answer="complete").leads_to.startswith("http://shop.example/done")
    assert api.checkout.sessions.retrieve(session.id).payment_status == "paid"


def test_authentication_may_fail_and_be_tried_again(api: Any, begin: Begin, monthly: Any) -> None:
    session = begin("subscription", monthly)
    submit(session.url, "4000 0027 6000 3184")
    page = submit(session.url + "/authenticate", answer="fail")
    assert (page.status, "unable to authenticate" in page.complaints[0]) == (402, True)
    submit(session.url, "4000 0027 6000 3184")
    assert submit(session.url + "/authenticate", answer="complete").status == 303
    assert api.checkout.sessions.retrieve(session.id).status == "complete"


def test_a_second_click_pays_only_once(api: Any, begin: Begin, once: Any, alice: Any) -> None:
    session = begin("payment", once, customer=alice.id)
    assert submit(session.url).leads_to == submit(session.url).leads_to
    assert len(api.charges.list({"customer": alice.id}).data) == 1


def test_two_clicks_at_the_same_moment_pay_only_once(api: Any, begin: Begin, once: Any, alice: Any) -> None:
    session = begin("payment", once, customer=alice.id)
    with ThreadPoolExecutor(4) as pool:
        pages = list(pool.map(lambda _: submit(session.url), range(4)))
    assert {page.status for page in pages} == {303}
    assert len(api.charges.list({"customer": alice.id}).data) == 1


def test_the_page_says_which_field_is_wrong(begin: Begin, once: Any) -> None:
    session = begin("payment", once)
    assert submit(session.url, email="nobody").complaints == ["Enter an email address, such as name@example.com."]
    assert submit(session.url, expiration="12 / 20").complaints == ["Enter a date in the future as MM / YY."]
    assert submit(session.url, "4242 4242 4242 4241").complaints == ["Your card number is incorrect."]
    assert submit(session.url, "4111 1111 1111 1111").complaints == [
        "This is a sandbox: it takes test cards only, such as 4242 4242 4242 4242."
    ]


def test_the_customers_email_is_filled_in_and_fixed(begin: Begin, once: Any, alice: Any) -> None:
    page = visit(begin("payment", once, customer=alice.id).url)
    assert 'value="alice@example.com"' in page.text
    assert "readonly" in page.text


def test_a_buyer_without_a_customer_becomes_one_when_subscribing(api: Any, begin: Begin, monthly: Any) -> None:
    session = begin("subscription", monthly)
    submit(session.url)
    paid = api.checkout.sessions.retrieve(session.id, {"expand": ["customer"]})
    assert paid.customer.email == paid.customer_details.email == "buyer@example.com"


def test_an_expired_session_says_so_and_leads_back(api: Any, begin: Begin, once: Any) -> None:
    session = begin("payment", once)
    assert api.checkout.sessions.expire(session.id).status == "expired"
    page = visit(session.url)
    assert (page.status, "has expired" in page.text, "http://shop.example/back" in page.text) == (410, True, True)
    assert submit(session.url).status == 410


@pytest.mark.parametrize(
    ("iban", "status", "event"),
    [("AT611904300234573201", "paid", "succeeded"), ("AT861904300235473202", "unpaid", "failed")],
)
def test_a_bank_debit_is_answered_later(
    api: Any, begin: Begin, product: Any, hook: Hook, iban: str, status: str, event: str
) -> None:
    euros = api.prices.create({"product": product.id, "unit_amount": 1500, "currency": "eur"})
    session = begin("payment", euros)
    assert submit(session.url, method="sepa_debit", iban=iban).status == 303
    eventually(lambda: hook.named(f"checkout.session.async_payment_{event}"))
    first = next(e for e in hook.named("checkout.session.completed") if e["data"]["object"]["id"] == session.id)
    assert first["data"]["object"]["payment_status"] == "unpaid"
    assert api.checkout.sessions.retrieve(session.id).payment_status == status


@pytest.mark.parametrize(
    ("iban", "payment", "status", "event"),
    [
        ("DE89370400440532013000", "paid", "active", "succeeded"),
        ("DE62370400440532013001", "unpaid", "incomplete", "failed"),
    ],
)
def test_a_subscription_by_bank_debit_waits_for_the_money(
    api: Any, begin: Begin, monthly: Any, hook: Hook, iban: str, payment: str, status: str, event: str
) -> None:
    session = begin("subscription", monthly, allowed_payment_method_types=["card", "sepa_debit"])
    assert "IBAN" in visit(session.url).text
    assert submit(session.url, method="sepa_debit", iban=iban).status == 303
    waiting = api.checkout.sessions.retrieve(session.id)
    first = eventually(lambda: about(hook, "customer.subscription.created", waiting.subscription))
    assert (waiting.status, first["status"]) == ("complete", "incomplete")
    eventually(lambda: session.id in hook.objects(f"checkout.session.async_payment_{event}"))
    settled = api.checkout.sessions.retrieve(session.id, {"expand": ["subscription"]})
    assert (settled.payment_status, settled.subscription.status) == (payment, status)


def test_setup_mode_saves_a_card_that_fails_later(api: Any, begin: Begin, alice: Any) -> None:
    session = begin("setup", customer=alice.id)
    assert "Save card" in visit(session.url).text
    assert submit(session.url, "4000 0000 0000 0341").status == 303
    intent = api.checkout.sessions.retrieve(session.id, {"expand": ["setup_intent"]}).setup_intent
    assert intent.status == "succeeded"
    assert api.payment_methods.retrieve(intent.payment_method).customer == alice.id


def test_a_trial_needs_no_payment_today(api: Any, begin: Begin, monthly: Any) -> None:
    session = begin("subscription", monthly, subscription_data={"trial_period_days": 14})
    submit(session.url)
    paid = api.checkout.sessions.retrieve(session.id, {"expand": ["subscription"]})
    assert (paid.payment_status, paid.subscription.status) == ("no_payment_required", "trialing")


def test_a_payment_link_is_a_checkout_for_everybody(api: Any, monthly: Any) -> None:
    after = {"type": "redirect", "redirect": {"url": "http://shop.example/done?session_id={CHECKOUT_SESSION_ID}"}}
    lines = [{"price": monthly.id, "quantity": 1}]
    link = api.payment_links.create({"line_items": lines, "after_completion": after, "metadata": {"tier": "pro"}})
    urls = [visit(link.url).response.url for _ in range(2)]
    assert urls[0] != urls[1]
    assert submit(urls[0]).status == 303
    bought = api.checkout.sessions.list({"payment_link": link.id, "status": "complete"}).data
    assert [(s.payment_status, s.metadata["tier"]) for s in bought] == [("paid", "pro")]
    api.payment_links.update(link.id, {"active": False})
    assert visit(link.url).status == 410


def test_the_pages_forbid_scripts_and_lead_only_where_the_session_says(begin: Begin, once: Any) -> None:
    page = visit(begin("payment", once).url)
    policy = page.response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self' http://shop.example" in policy
    assert "<script" not in page.text


def test_an_address_that_never_existed_is_not_found(sandbox: Sandbox) -> None:
    for path in ("/c/pay/cs_test_nothing", "/i/in_nothing", "/b/session/bps_nothing", "/p/nothing"):
        assert requests.get(f"http://localhost:{sandbox.port}{path}", timeout=30).status_code == 404
