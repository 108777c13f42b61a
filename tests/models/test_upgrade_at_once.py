"""`flask db upgrade` on several machines at once: one migrates, and the others wait and find nothing to do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.conftest import worker
from tests.support import servers
from tests.support.world import environ, fresh_database

pytestmark = pytest.mark.long

MACHINES = 3


def test_machines_that_upgrade_at_once_all_succeed(postgres_server: str, tmp_path: Path) -> None:
    url = fresh_database(postgres_server, f"upgrades_{worker()}")
    given = os.environ | environ(tmp_path, url, 8000, "http://127.0.0.1:1")
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"]
    running = [
        subprocess.Popen(command, cwd=servers.ROOT, env=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(MACHINES)
    ]
    for process in running:
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said.decode()
    engine = create_engine(url)
    with engine.connect() as connection:
        assert len(connection.execute(text("SELECT version_num FROM alembic_version")).all()) == 1
    engine.dispose()
