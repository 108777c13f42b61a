"""Each parameter that the sandbox supports is felt: its test fails when the parameter is not sent."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.sandbox import sending
from tests.support.servers import ROOT

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
HERE = Path(__file__).parent
FILES = sorted({test.partition(".")[0] for test in sending.claims()})


@pytest.mark.parametrize("name", FILES)
def test_every_supported_parameter_is_felt(name: str) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "tests.sandbox.dropping", "--tb=no", "-rN", "-n", "0"]
    done = subprocess.run(
        [*command, str(HERE / f"{name}.py")], cwd=ROOT, capture_output=True, text=True, timeout=590, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
