"""A third-party check: the five scenarios of billing-e2e, unchanged, with the sandbox as their Stripe."""

import importlib.resources
import time
from pathlib import Path
from typing import Any

import billing_e2e
import pytest
import stripe
from billing_e2e import cli

from tests.sandbox.conftest import Sandbox

pytestmark = pytest.mark.long

SCENARIOS = importlib.resources.files(billing_e2e) / "scenarios"
YEAR_WITHIN = 3.0  # seconds for twelve months of one subscription


@pytest.fixture(scope="module")
def sandbox(process: Sandbox) -> Sandbox:
    """The default account: billing-e2e takes no key with an underscore after sk_test_."""
    return process


@pytest.fixture
def its_stripe(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give billing-e2e, which creates its own client, one with the sandbox's address."""

    class Client(stripe.StripeClient):
        def __init__(self, key: str, **options: Any) -> None:
            super().__init__(key, **options | {"base_addresses": {"api": sandbox.base}})

    monkeypatch.setattr(stripe, "StripeClient", Client)


@pytest.mark.parametrize(
    "name", sorted(entry.name for entry in SCENARIOS.iterdir() if entry.name.endswith(".yml"))
)
def test_a_scenario_of_billing_e2e_passes(
    its_stripe: None,
    sandbox: Sandbox,
    api: Any,
    product: Any,
    monthly: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    name: str,
) -> None:
    terms = {"unit_amount": 9999, "currency": "usd", "recurring": {"interval": "month"}}
    dear = api.prices.create({"product": product.id, **terms})
    config = tmp_path / "billing-e2e.yml"
    prices = f"vars: {{monthly_price: {monthly.id}, upgrade_price: {dear.id}}}"
    config.write_text(f"stripe: {{key: {sandbox.test_key}}}\n{prices}\n")
    with importlib.resources.as_file(SCENARIOS / name) as scenario, pytest.raises(SystemExit) as ended:
        cli.main(["--config", str(config), "run", str(scenario)])
    assert ended.value.code == 0, capsys.readouterr().out


def test_a_year_of_a_subscription_passes_in_three_seconds(api: Any, monthly: Any) -> None:
    clock = api.test_helpers.test_clocks.create({"frozen_time": 1_800_000_000})
    card = {"payment_method": "pm_card_visa", "invoice_settings": {"default_payment_method": "pm_card_visa"}}
    dan = api.customers.create({"test_clock": clock.id, **card})
    made = api.subscriptions.create({"customer": dan.id, "items": [{"price": monthly.id}]})
    began = time.monotonic()
    for month in range(1, 13):
        api.test_helpers.test_clocks.advance(clock.id, {"frozen_time": 1_800_000_000 + month * 30 * 86400 + 7200})
    assert time.monotonic() - began < YEAR_WITHIN
    paid = api.invoices.list({"subscription": made.id, "status": "paid", "limit": 100}).data
    assert len(paid) == 12
