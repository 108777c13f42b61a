"""Prometheus's own tool decides whether a rule fires, on two readings of /metrics."""

import json
import shutil
import subprocess
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import leave_out
from tests.support import servers

RULES = servers.ROOT / "docs" / "alerts.yml"
BEFORE, AFTER = 30, 10  # minutes that the first and the second reading last
LOOK_AT = BEFORE + 3  # minutes


def run(*command: str) -> str:
    """Run promtool, and return what it says. Fails if it does."""
    tool = shutil.which("promtool")
    if tool is None:
        leave_out("promtool is absent (Debian: prometheus), so no alert was checked or fired")
    done = subprocess.run([str(tool), *command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def firing(folder: Path, before: str, after: str, alerts: dict[str, bool]) -> None:
    """Check which alerts fire three minutes after the portal's numbers have changed from one text to the other."""
    first, then = samples(before), samples(after)
    series = [
        {"series": name, "values": f"{first[name]}+0x{BEFORE} {then[name]}+0x{AFTER}"}
        for name in sorted(first.keys() & then.keys())
    ]
    tests = [
        {
            "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})',
            "eval_time": f"{LOOK_AT}m",
            "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
        }
        for alert, fires in alerts.items()
    ]
    case = {"interval": "1m", "input_series": series, "promql_expr_test": tests}
    file = folder / "case.yml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [case]}))
    run("test", "rules", str(file))


def samples(text: str) -> dict[str, float]:
    """Return each series with its value."""
    found = {}
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            labels = ", ".join(f'{name}="{value}"' for name, value in sorted(one.labels.items()))
            found[f"{one.name}{{{labels}}}"] = one.value
    return found
