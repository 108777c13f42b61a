"""The start page and the dashboard: lists, deliveries, clocks, requests, by account, for its own pages alone."""

import re
from typing import Any

import pytest
import requests

from tests.sandbox.conftest import Sandbox, eventually
from tests.sandbox.hook import Hook

HERE = "/dashboard/acct_dashboard/test"
MONTH = 31 * 24 * 60 * 60


def shown(sandbox: Sandbox, path: str, status: int = 200) -> str:
    answer = requests.get(sandbox.base + path, timeout=30)
    assert answer.status_code == status
    return answer.text


def press(sandbox: Sandbox, path: str, headers: dict[str, str] | None = None, **form: str) -> requests.Response:
    """Post a form of the page at this path, with its token unless another is given."""
    found = re.search(r'name="token" value="([^"]+)"', shown(sandbox, path))
    assert found is not None
    return requests.post(sandbox.base + path, {"token": found[1]} | form, headers=headers, timeout=30)


@pytest.fixture
def running(api: Any, bob: Any, monthly: Any) -> Any:
    return api.subscriptions.create({"customer": bob.id, "items": [{"price": monthly.id}]})


def test_the_start_page_says_what_the_server_is_and_lists_its_accounts(sandbox: Sandbox, running: Any) -> None:
    page = shown(sandbox, "/")
    assert "Stripe's API" in page
    assert f'href="{HERE}"' in page
    assert sandbox.test_key not in page


def test_each_list_shows_what_the_account_has(sandbox: Sandbox, api: Any, running: Any) -> None:
    invoice = api.invoices.retrieve(running.latest_invoice)
    for section, texts in {
        "customers": (running.customer, "bob@example.com"),
        "subscriptions": (running.id, "active", running.customer),
        "invoices": (invoice.id, invoice.number, "$49.99", "paid"),
        "payments": ("pi_", "$49.99", "succeeded"),
        "events": ("evt_", "invoice.paid"),
    }.items():
        page = shown(sandbox, f"{HERE}/{section}")
        assert [text for text in texts if text not in page] == []
        assert running.customer not in shown(sandbox, f"/dashboard/test/{section}"), "of another account"
        assert running.customer not in shown(sandbox, f"/dashboard/acct_dashboard/{section}"), "of the other mode"
    assert f'href="{HERE}/subscriptions/{running.id}"' in shown(sandbox, f"{HERE}/subscriptions")


def test_a_long_list_has_pages(sandbox: Sandbox, api: Any) -> None:
    made = [api.customers.create({}).id for _ in range(27)]
    first = shown(sandbox, f"{HERE}/customers")
    assert (made[-1] in first, made[0] in first) == (True, False)
    older = re.search(r'href="([^"]+after=[^"]+)">Older', first)
    assert older is not None
    assert made[0] in shown(sandbox, older[1])
    shown(sandbox, f"{HERE}/customers?after=cus_none", 404)


def test_an_event_s_deliveries_are_shown_and_it_can_be_sent_again(sandbox: Sandbox, api: Any, hook: Hook) -> None:
    sandbox.config("deliveries/flush")  # what earlier tests left would take the answer
    hook.answers = [500]
    made = api.products.create({"name": "Twice"})
    eventually(lambda: hook.objects("product.created").count(made.id) == 2)
    event = next(e for e in hook.named("product.created") if e["data"]["object"]["id"] == made.id)
    page = f"{HERE}/events/{event['id']}"
    eventually(lambda: "200, " in shown(sandbox, page))
    assert "500, " in shown(sandbox, page)
    assert press(sandbox, page, act="resend").history[0].status_code == 303
    eventually(lambda: hook.objects("product.created").count(made.id) == 3)
    assert "3 sent" in eventually(lambda: (text := shown(sandbox, f"{HERE}/events")) and "3 sent" in text and text)


def test_a_clock_has_buttons(sandbox: Sandbox, api: Any) -> None:
    clock = api.test_helpers.test_clocks.create({"frozen_time": 1_800_000_000})
    page = f"{HERE}/test-clocks/{clock.id}"
    assert clock.id in shown(sandbox, f"{HERE}/test-clocks")
    assert press(sandbox, page, act="advance", step="31 days").status_code == 200
    assert api.test_helpers.test_clocks.retrieve(clock.id).frozen_time == 1_800_000_000 + MONTH
    assert press(sandbox, page, act="advance", step="A century").status_code == 400
    gone = press(sandbox, page, act="delete")
    assert (gone.status_code, clock.id in gone.text) == (200, False)


def test_the_latest_requests_are_listed(sandbox: Sandbox, api: Any) -> None:
    answer = sandbox.post("/v1/customers", {"emial": "x"})
    page = shown(sandbox, f"{HERE}/logs")
    assert answer.headers["Request-Id"] in page
    assert "Received unknown parameter: emial" in page
    assert answer.headers["Request-Id"] not in shown(sandbox, "/dashboard/test/logs")


def test_a_post_that_is_not_of_its_own_page_changes_nothing(sandbox: Sandbox, api: Any) -> None:
    clock = api.test_helpers.test_clocks.create({"frozen_time": 1_800_000_000})
    page, form = f"{HERE}/test-clocks/{clock.id}", {"act": "advance", "step": "A day"}
    for more, headers in (
        ({"token": ""}, {}),
        ({"token": "guessed"}, {}),
        ({}, {"Sec-Fetch-Site": "cross-site"}),
        ({}, {"Sec-Fetch-Site": "same-site"}),
        ({}, {"Origin": "https://evil.example"}),
    ):
        assert press(sandbox, page, headers, **form, **more).status_code == 403
    rebound = requests.get(sandbox.base + page, headers={"Host": "evil.example"}, timeout=30)
    assert (rebound.status_code, "token" in rebound.text) == (403, False)
    assert api.test_helpers.test_clocks.retrieve(clock.id).frozen_time == 1_800_000_000


def test_a_secret_is_on_no_page(sandbox: Sandbox, api: Any, hook: Hook) -> None:
    made = api.webhook_endpoints.create({"url": hook.url + "/third", "enabled_events": ["product.deleted"]})
    page = shown(sandbox, f"{HERE}/webhooks/{made.id}")
    assert (hook.url in page, made.secret in page) == (True, False)
    assert made.url in shown(sandbox, HERE)
    api.webhook_endpoints.delete(made.id)


def test_what_does_not_exist_is_not_found(sandbox: Sandbox) -> None:
    for path in ("/dashboard/acct_nobody/test", f"{HERE}/customers/cus_nobody", "/dashboard/acct_dashboard/tset"):
        shown(sandbox, path, 404)
