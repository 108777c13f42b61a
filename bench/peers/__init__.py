"""Other portals and frameworks, each in the same harness, in a venv of their own: `make bench PEERS=all`."""

import subprocess
import sys

from bench.race import ROOT

VENV = ROOT / "instance" / "peers-venv"
PYTHON = VENV / "bin" / "python"
REQUIREMENTS = ROOT / "bench" / "peers" / "requirements.txt"


def install() -> None:
    """The peers' packages, from the index the first time, then from the cached venv."""
    stamp = VENV / "installed"
    if stamp.exists() and stamp.read_text() == REQUIREMENTS.read_text():
        return
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
    subprocess.run([str(PYTHON), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)], check=True)
    stamp.write_text(REQUIREMENTS.read_text())
