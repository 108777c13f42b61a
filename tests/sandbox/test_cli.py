"""Stripe's own CLI works with the sandbox: `stripe trigger` succeeds and creates its event."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import leave_out
from tests.sandbox.conftest import Sandbox, eventually
from tests.support import npm

pytestmark = pytest.mark.long

PACKAGE = "@stripe/cli@1.52.0"
TRIGGERS = [
    "billing_portal.session.created",
    "charge.dispute.created",
    "charge.refunded",
    "checkout.session.async_payment_failed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.completed",
    "checkout.session.expired",
    "customer.subscription.created",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.trial_will_end",
    "customer.subscription.updated",
    "customer.updated",
    "invoice.paid",
    "invoice.payment_action_required",
    "invoice.payment_failed",
    "invoice.payment_succeeded",
    "payment_intent.payment_failed",
    "payment_intent.succeeded",
    "payment_link.created",
    "payment_method.attached",
    "payment_method.detached",
    "setup_intent.succeeded",
    "test_helpers.test_clock.deleted",
    "test_helpers.test_clock.ready",
]


@pytest.fixture(scope="module")
def stripe_cli() -> Path:
    """The official CLI."""
    program = npm.program(PACKAGE, "stripe")
    if program is None:
        leave_out("npm did not give the Stripe CLI, so its triggers were not tried on the sandbox")
    return program


@pytest.mark.parametrize("event", TRIGGERS)
def test_the_official_cli_triggers(stripe_cli: Path, sandbox: Sandbox, api: Any, event: str) -> None:
    before = newest(api, event)
    command = [str(stripe_cli), "trigger", event, "--api-base", sandbox.base]
    environ = {"STRIPE_API_KEY": sandbox.test_key, "STRIPE_CLI_TELEMETRY_OPTOUT": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env=os.environ | environ, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert eventually(lambda: newest(api, event) != before)


def newest(api: Any, event: str) -> str | None:
    """The id of the latest event of this type."""
    return next((found.id for found in api.events.list({"type": event, "limit": 1}).data), None)
