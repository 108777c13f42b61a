"""Shared behavior of every call: keys, parameters, errors, lists, expansion, idempotency."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
import stripe

from tests.sandbox.conftest import Sandbox

ENDIVE = "2026-10-28.endive"


def refusal(call: Callable[[], Any]) -> stripe.StripeError:
    with pytest.raises(stripe.StripeError) as raised:
        call()
    return raised.value


def test_an_unknown_parameter_is_refused_by_name(api: Any) -> None:
    error = refusal(lambda: api.customers.create({"nmae": "Alice"}))
    assert isinstance(error, stripe.InvalidRequestError)
    assert (error.http_status, error.code, error.param) == (400, "parameter_unknown", "nmae")
    assert "Received unknown parameter: nmae" in str(error)


def test_a_nested_unknown_parameter_is_refused_by_its_whole_name(api: Any) -> None:
    error = refusal(lambda: api.customers.create({"address": {"town": "Berlin"}}))
    assert error.param == "address[town]"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("path", "params", "param"),
    [
        ("/v1/prices", {"product": "prod_x"}, "currency"),
        ("/v1/prices", {"currency": "usd", "unit_amount": "ten"}, "unit_amount"),
        ("/v1/checkout/sessions", {"success_url": "http://x.example"}, "mode"),
        ("/v1/checkout/sessions", {"mode": "gift", "success_url": "http://x.example"}, "mode"),
        ("/v1/subscriptions", {"customer": "cus_x"}, "customer"),
        ("/v1/billing_portal/sessions", {}, "customer"),
    ],
)
def test_bad_input_names_the_parameter(sandbox: Sandbox, path: str, params: dict[str, str], param: str) -> None:
    answer = sandbox.post(path, params)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_payment_method_types_exist_only_before_endive(sandbox: Sandbox) -> None:
    params = {"amount": "100", "currency": "usd", "payment_method_types[0]": "card"}
    assert sandbox.post("/v1/payment_intents", params).status_code == 200
    error = sandbox.post("/v1/payment_intents", params, Stripe_Version=ENDIVE).json()["error"]
    assert (error["code"], error["param"]) == ("parameter_unknown", "payment_method_types")


def test_a_wrong_key_is_refused(sandbox: Sandbox) -> None:
    error = refusal(lambda: sandbox.client("sk_test_thisIsNotTheKey99").customers.list())
    assert isinstance(error, stripe.AuthenticationError)
    assert "Invalid API Key provided: sk_test_" in str(error)
    assert "thisIsNotTheKey99" not in str(error)
    assert requests.get(sandbox.base + "/v1/customers", timeout=30).status_code == 401


def test_an_unknown_address_is_answered_as_stripe_does(sandbox: Sandbox) -> None:
    answer = sandbox.post("/v1/nonsense")
    assert answer.status_code == 404
    assert answer.json()["error"]["message"].startswith("Unrecognized request URL (POST: /v1/nonsense)")


def test_the_modes_do_not_see_each_other(sandbox: Sandbox, api: Any, alice: Any) -> None:
    live = sandbox.client(sandbox.live_key)
    assert live.customers.create({}).livemode is True
    error = refusal(lambda: live.customers.retrieve(alice.id))
    assert (error.http_status, error.code) == (404, "resource_missing")
    assert "a similar object exists in test mode, but a live mode key was used" in str(error)
    assert alice.id not in [c.id for c in live.customers.list().data]


def test_every_answer_carries_stripes_headers(sandbox: Sandbox) -> None:
    answer = sandbox.post("/v1/customers", Stripe_Version=ENDIVE)
    assert answer.headers["Request-Id"].startswith("req_")
    assert answer.headers["Stripe-Version"] == ENDIVE
    assert answer.headers["Content-Type"] == "application/json"


def test_lists_go_forwards_and_backwards_by_cursor(api: Any, product: Any) -> None:
    for amount in range(1, 8):
        api.prices.create({"product": product.id, "unit_amount": amount, "currency": "usd"})
    mine = {"product": product.id, "limit": 3}
    first = api.prices.list(mine)
    assert ([p.unit_amount for p in first.data], first.has_more) == ([7, 6, 5], True)
    second = api.prices.list({**mine, "starting_after": first.data[-1].id})
    assert [p.unit_amount for p in second.data] == [4, 3, 2]
    everything = [p.unit_amount for p in api.prices.list(mine).auto_paging_iter()]
    assert everything == [7, 6, 5, 4, 3, 2, 1]
    last = api.prices.list({**mine, "limit": 100}).data[-1]
    back = api.prices.list({**mine, "ending_before": last.id})
    assert [p.unit_amount for p in back.data] == [4, 3, 2]
    assert refusal(lambda: api.prices.list({"limit": 101})).param == "limit"  # type: ignore[attr-defined]


def test_expand_turns_ids_into_objects_and_refuses_what_is_none(api: Any, bob: Any, monthly: Any) -> None:
    made = api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id}]})
    assert isinstance(api.subscriptions.retrieve(made.id).latest_invoice, str)
    paths = ["customer", "latest_invoice.payments.data.payment.payment_intent", "items.data.price.product"]
    opened = api.subscriptions.retrieve(made.id, {"expand": paths})
    assert opened.customer.email == "bob@example.com"
    assert opened.latest_invoice.payments.data[0].payment.payment_intent.amount == 4999
    assert opened["items"].data[0].price.product.name == "Pro"
    listed = api.subscriptions.list({"customer": bob.id, "expand": ["data.customer"]})
    assert listed.data[0].customer.id == bob.id
    error = refusal(lambda: api.subscriptions.retrieve(made.id, {"expand": ["nonsense"]}))
    assert "cannot be expanded (nonsense)" in str(error)


def test_what_is_sent_only_on_request_is_left_out(api: Any, bob: Any, monthly: Any) -> None:
    made = api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id}]})
    invoice = api.invoices.retrieve(made.latest_invoice)
    assert "payments" not in invoice
    assert "confirmation_secret" not in invoice


def test_the_same_idempotency_key_gets_the_same_answer(sandbox: Sandbox) -> None:
    answers = [sandbox.post("/v1/customers", {"name": "A"}, Idempotency_Key="same") for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert "Idempotent-Replayed" not in answers[0].headers
    assert answers[1].headers["Idempotent-Replayed"] == "true"


def test_a_key_with_other_parameters_is_refused(api: Any) -> None:
    api.customers.create({"name": "A"}, {"idempotency_key": "reused"})
    error = refusal(lambda: api.customers.create({"name": "B"}, {"idempotency_key": "reused"}))
    assert isinstance(error, stripe.IdempotencyError)
    assert error.http_status == 400


def test_a_recorded_fault_is_replayed_until_the_key_changes(sandbox: Sandbox, api: Any) -> None:
    sandbox.config("failures", next=1, status=500)
    assert refusal(lambda: api.customers.create({}, {"idempotency_key": "broken"})).http_status == 500
    assert refusal(lambda: api.customers.create({}, {"idempotency_key": "broken"})).http_status == 500
    assert api.customers.create({}, {"idempotency_key": "broken-2"}).id.startswith("cus_")


def test_a_rate_limit_is_not_recorded(sandbox: Sandbox, api: Any) -> None:
    sandbox.config("failures", next=1, status=429)
    assert isinstance(
        refusal(lambda: api.customers.create({}, {"idempotency_key": "slow"})), stripe.RateLimitError
    )
    assert api.customers.create({}, {"idempotency_key": "slow"}).id.startswith("cus_")


def test_a_lost_answer_can_be_had_again_by_its_key(sandbox: Sandbox, api: Any) -> None:
    sandbox.config("failures", next=1, after=True, path="/v1/customers")
    lost = refusal(lambda: api.customers.create({"name": "Lost"}, {"idempotency_key": "lost"}))
    assert isinstance(lost, stripe.APIConnectionError)
    found = api.customers.create({"name": "Lost"}, {"idempotency_key": "lost"})
    assert [c.id for c in api.customers.list({"limit": 100}).data if c.name == "Lost"] == [found.id]


def test_a_connection_that_hangs_up_has_done_nothing(sandbox: Sandbox, api: Any) -> None:
    sandbox.config("failures", next=1, hang=True, path="/v1/customers")
    lost = refusal(lambda: api.customers.create({"name": "Never"}))
    assert isinstance(lost, stripe.APIConnectionError)
    assert "Never" not in [c.name for c in api.customers.list({"limit": 100}).data]


def test_switches_that_do_not_exist_are_refused_by_name(sandbox: Sandbox) -> None:
    answer = requests.post(f"{sandbox.base}/_config/failures", json={"nxet": 1}, timeout=30)
    assert (answer.status_code, "nxet" in answer.json()["error"]) == (400, True)


def test_a_call_can_be_slow(sandbox: Sandbox, api: Any) -> None:
    sandbox.config("failures", next=1, status=200, delay=0.3)
    began = time.monotonic()
    assert api.customers.list().data is not None
    assert time.monotonic() - began > 0.3


INTENT = {"amount": "100", "currency": "usd"}
LINK = {"line_items[0][price]": "p", "line_items[0][quantity]": "1"}


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/v1/checkout/sessions", {"name_collection[individual][enabled]": "true"}),
        ("/v1/checkout/sessions", {"consent_collection[payment_method_reuse_agreement][position]": "auto"}),
        ("/v1/checkout/sessions", {"shipping_options[0][shipping_rate]": "shr_1"}),
        ("/v1/checkout/sessions", {"saved_payment_method_options[payment_method_save]": "enabled"}),
        ("/v1/checkout/sessions", {"adaptive_pricing[enabled]": "true"}),
        ("/v1/invoices", {"customer": "c", "rendering[amount_tax_display]": "exclude_tax"}),
        ("/v1/invoices", {"customer": "c", "account_tax_ids[0]": "txi_1"}),
        ("/v1/payment_intents", INTENT | {"capture_method": "manual"}),
        ("/v1/payment_intents", INTENT | {"confirmation_method": "manual"}),
        ("/v1/payment_intents", INTENT | {"statement_descriptor": "PRO"}),
        ("/v1/payment_intents", INTENT | {"application_fee_amount": "5"}),
        ("/v1/payment_links", LINK | {"payment_method_collection": "if_required"}),
        ("/v1/payment_links", LINK | {"customer_creation": "always"}),
        ("/v1/subscriptions", {"customer": "c", "billing_mode[type]": "classic"}),
        ("/v1/subscriptions", {"customer": "c", "application_fee_percent": "5"}),
        ("/v1/subscriptions", {"backdate_start_date": "1"}),
    ],
)
def test_a_parameter_that_would_be_dropped_is_refused_by_name(
    sandbox: Sandbox, path: str, params: dict[str, str]
) -> None:
    name = list(params)[-1]
    answer = sandbox.post(path, params)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, name)
    assert error["message"].startswith(f"The sandbox does not support {name}")


def test_two_requests_with_one_key_at_the_same_moment_make_one_object(api: Any) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = pool.map(lambda _: api.customers.create({"name": "Once"}, {"idempotency_key": "race"}), range(8))
        assert len({customer.id for customer in made}) == 1


def test_an_address_answers_with_all_of_its_fields(api: Any) -> None:
    made = api.customers.create({"address": {"city": "Berlin"}})
    assert (made.address.city, made.address.line2) == ("Berlin", None)


def test_what_was_done_can_be_answered_as_a_failure(sandbox: Sandbox, api: Any) -> None:
    sandbox.config("failures", next=1, status=500, acted=True, path="/v1/customers", method="POST")
    for _ in range(2):
        failed = refusal(lambda: api.customers.create({"name": "Made"}, {"idempotency_key": "acted"}))
        assert failed.http_status == 500
    assert [c.name for c in api.customers.list({"limit": 100}).data].count("Made") == 1


def test_a_fault_can_wait_for_a_later_call(sandbox: Sandbox, api: Any) -> None:
    sandbox.config("failures", next=1, skip=1, path="/v1/customers", method="POST")
    assert api.customers.create({"name": "First"}).id
    assert api.customers.list({"limit": 1}).data
    assert refusal(lambda: api.customers.create({"name": "Second"})).http_status == 500
