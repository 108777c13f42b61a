"""Request bodies are read in one place."""

import re
from pathlib import Path

import portal

PORTAL = Path(portal.__file__).parent
READERS = {"api/bodies.py", "webhooks/views.py"}  # the second reads bytes, whose signature it checks
READS = re.compile(r"\brequest\.(get_json|get_data|json|data|stream)\b")


def test_nobody_else_reads_a_body() -> None:
    files = [file for file in PORTAL.rglob("*.py") if "sandbox" not in file.relative_to(PORTAL).parts]
    found = {file.relative_to(PORTAL).as_posix() for file in files if READS.search(file.read_text())}
    assert found == READERS
