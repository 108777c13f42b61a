"""Each rule of docs/alerts.yml fires on a made case, and does not on one that is just not enough."""

import contextlib
import json
import re
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from sqlalchemy import select, update

from portal import clock, instruments, jobs
from portal.errors import StripeRefused, StripeUnavailable
from portal.extensions import db
from portal.metrics import views
from portal.models import Subscription
from portal.sync import idempotency
from tests.conftest import Person
from tests.metrics import promtool
from tests.metrics.test_metrics import _event
from tests.support import servers
from tests.support.world import World

pytestmark = pytest.mark.usefixtures("app")
ROOT = servers.ROOT
Make = Callable[[], None]
numbers = count(1000)


@pytest.fixture
def text(here: World, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """Read /metrics now."""
    monkeypatch.setattr(views, "REMEMBERED", 0)
    return lambda: requests.get(f"{here.base}/metrics", timeout=60).text


def delivered(good: int, bad: int, kind: str = "invoice.paid") -> Make:
    """Deliveries, of which some failed."""

    def make() -> None:
        for number in range(good + bad):
            failed = int(number < bad)
            row = _event(next(numbers), 0, type=kind, attempts=1, failures=failed)
            db.session.add(row)
        db.session.commit()

    return make


def moving_money(answered: int, refused: int, lost: int) -> Make:
    """Calls that move money, with these outcomes."""

    def answer(error: Exception | None) -> None:
        if error:
            raise error

    def make() -> None:
        no_answer = StripeUnavailable("")
        no_answer.outcome = "no_answer"
        outcomes = [None] * answered + [StripeRefused("")] * refused + [no_answer] * lost
        for error in outcomes:
            with contextlib.suppress(StripeRefused, StripeUnavailable):
                idempotency._counted("live", lambda error=error: answer(error))

    return make


def asking_stripe(here: World, good: int, bad: int) -> None:
    """Calls to Stripe, some of which it answers with a 500."""
    from portal import gateway

    for number in range(good + bad):
        if number < bad:
            here.fail(next=2, status=500, path="/v1/prices")  # the SDK tries twice
        with contextlib.suppress(StripeUnavailable):
            next(iter(gateway.of("live")._list("/v1/prices", {"limit": 1})), None)
    here.calm()


def canceled(today: int, before: int) -> Make:
    """Subscriptions canceled in the last hour, and two days ago."""

    def make() -> None:
        one = db.session.execute(select(Subscription)).scalars().first()
        facts = {column.name: getattr(one, column.name) for column in Subscription.__table__.columns}
        db.session.execute(update(Subscription).values(canceled_at=None))
        for number in range(today + before):
            ago = timedelta(hours=1) if number < today else timedelta(days=2)
            more = {"id": None, "stripe_id": f"sub_{next(numbers)}", "canceled_at": clock.now() - ago}
            db.session.add(
                Subscription(**{name: value for name, value in {**facts, **more}.items() if name != "id"})
            )
        db.session.commit()

    return make


FIRED = [
    ("PortalWebhookFailures", delivered(18, 2), True),
    ("PortalWebhookFailures", delivered(17, 2), False),  # 19 deliveries
    ("PortalWebhookFailures", delivered(38, 2), False),  # 5%, not more
    ("PortalPaymentErrors", moving_money(18, 1, 1), True),
    ("PortalPaymentErrors", moving_money(17, 1, 1), False),
    ("PortalPaymentErrors", moving_money(1, 40, 0), False),  # declines
    ("PortalPaymentMethodUpdated", delivered(1, 0, "payment_method.attached"), True),
    ("PortalPaymentMethodUpdated", delivered(1, 0, "payment_method.detached"), False),
]


@pytest.mark.parametrize(("alert", "make", "fires"), FIRED)
def test_an_alert_on_counts(text: Any, tmp_path: Path, alert: str, make: Make, fires: bool) -> None:
    before = text()
    make()
    promtool.firing(tmp_path, before, text(), {alert: fires})


def test_an_alert_on_calls_to_stripe(here: World, text: Any, tmp_path: Path) -> None:
    before = text()
    asking_stripe(here, 20, 1)
    promtool.firing(tmp_path, before, text(), {"PortalStripeErrors": False})
    asking_stripe(here, 0, 1)
    promtool.firing(tmp_path, before, text(), {"PortalStripeErrors": True, "PortalPaymentErrors": False})


def test_an_alert_on_cancellations(bob: Person, text: Any, tmp_path: Path) -> None:
    quiet = text()
    for today, before, fires in ((4, 0, False), (5, 0, True), (5, 48, False), (6, 56, True)):
        db.session.query(Subscription).filter(Subscription.id > bob_s()).delete()
        canceled(today, before)()
        promtool.firing(tmp_path, quiet, text(), {"PortalCancellationSpike": fires})


def bob_s() -> int:
    return db.session.execute(select(Subscription.id).order_by(Subscription.id)).scalars().first() or 0


def test_alerts_about_plans(bob: Person, text: Any, tmp_path: Path) -> None:
    def book(**values: Any) -> None:
        changed = {"mrr_since": clock.now() - timedelta(hours=1), **values}
        db.session.execute(update(Subscription).values(**changed))
        db.session.commit()
        assert jobs.tasks["mrr"]() == 1

    before = text()
    book()
    promtool.firing(tmp_path, before, text(), {"PortalNewProSubscription": True, "PortalDowngrade": False})
    before = text()
    book(mrr=1999, tier="starter")
    promtool.firing(tmp_path, before, text(), {"PortalNewProSubscription": False, "PortalDowngrade": True})


def test_an_alert_on_slow_webhooks(text: Any, tmp_path: Path) -> None:
    before = text()
    observe = instruments.REQUESTS.labels("webhooks.live").observe
    for seconds in [0.2] * 8 + [7]:
        observe(seconds)
    instruments.REQUESTS.labels("billing.pricing").observe(9)
    promtool.firing(tmp_path, before, text(), {"PortalWebhookLatency": True})
    before = text()
    for seconds in [0.2] * 8 + [2]:
        observe(seconds)
    promtool.firing(tmp_path, before, text(), {"PortalWebhookLatency": False})


def test_alerts_on_a_portal_without_a_database_or_without_an_answer(text: Any, tmp_path: Path) -> None:
    up = text() + 'up{job="portal"} 1\n'
    down = up.replace("portal_database_up 1", "portal_database_up 0")
    promtool.firing(tmp_path, up, up, {"PortalDatabaseDown": False, "PortalDown": False})
    promtool.firing(tmp_path, up, down, {"PortalDatabaseDown": True})
    promtool.firing(tmp_path, up, up.replace("} 1\n", "} 0\n"), {"PortalDown": True})


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(promtool.RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_every_alert_is_fired_here_and_documented() -> None:
    own, page = Path(__file__).read_text(), (ROOT / "docs" / "monitoring.md").read_text()
    for rule in rules():
        fired = rf'"{rule["alert"]}"(, \w+\([^\n]*\), True|: (True|fires))'
        assert re.search(fired, own), rule["alert"]
        assert f"`{rule['alert']}`" in page


def test_the_rules_and_the_dashboard_are_right(text: Any, tmp_path: Path) -> None:
    """Prometheus reads each expression, and each names metrics that exist."""
    promtool.run("check", "rules", str(promtool.RULES))
    board = json.loads((ROOT / "docs" / "grafana.json").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    assert len(asked) > 10
    asked = [re.sub(r"\$__(rate_interval|range)", "5m", one) for one in asked]  # Grafana's own names
    recorded = [{"record": f"a:{number}", "expr": one} for number, one in enumerate(asked)]
    file = tmp_path / "dashboard.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": recorded}]}))
    promtool.run("check", "rules", str(file))
    types = dict(re.findall(r"# TYPE (\w+) (\w+)", text()))
    exist = {name + "_bucket" * (kind == "histogram") for name, kind in types.items()}
    named = {
        name for one in [*asked, *(rule["expr"] for rule in rules())] for name in re.findall(r"portal_\w+", one)
    }
    assert named <= exist, named - exist
