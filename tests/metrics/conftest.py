"""Reading /metrics."""

from collections.abc import Callable

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from portal.metrics import views
from tests.support.world import World

Read = Callable[..., float]


def value(text: str, name: str, **labels: str) -> float:
    """Return a sample's value, the sum of those that have these labels; 0 if there is none."""
    found = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return sum(found)


@pytest.fixture
def read(here: World, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Read one number, of this moment."""
    monkeypatch.setattr(views, "REMEMBERED", 0)

    def ask(name: str, **labels: str) -> float:
        answer = requests.get(f"{here.base}/metrics", timeout=60)
        assert answer.status_code == 200, answer.text
        return value(answer.text, name, **labels)

    return ask
