"""Commands on a machine where nothing was run before, and from folders other than the portal's."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support import servers

ROOT = servers.ROOT
FLASK = Path(sys.executable).with_name("flask")


PARTS = ("portal", "migrations", "templates", "static")


def environ(folder: Path, **settings: str) -> dict[str, str]:
    """The environment of an operator who set only this."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ} | settings


def run(folder: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """`flask …` in this folder."""
    command = [str(FLASK), "--app", str(ROOT / "wsgi.py"), *words]
    return subprocess.run(
        command, cwd=folder, env=environ(folder, **settings), capture_output=True, text=True, timeout=120
    )


def test_the_first_command_of_all_makes_the_instance_folder(tmp_path: Path) -> None:
    done = run(tmp_path, "db", "upgrade", INSTANCE_PATH="./deep/instance")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "deep" / "instance"
    assert (folder / "demo.db").is_file()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_no_command_needs_the_module_that_windows_lacks(tmp_path: Path) -> None:
    code = "import sys; sys.modules['fcntl'] = None; from flask.cli import main; main()"
    command = [sys.executable, "-c", code, "--app", str(ROOT / "wsgi.py"), "--help"]
    done = subprocess.run(command, cwd=tmp_path, env=environ(tmp_path), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "bill-month" in done.stdout


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """The sandbox, and the port of the portal that it delivers to."""
    port = servers.free_port()
    with servers.sandbox(tmp_path, port, servers.free_port()) as base:
        yield base, port


def test_a_start_from_another_folder_is_the_same_start(tmp_path: Path, sandbox: tuple[str, int]) -> None:
    base, port = sandbox
    given = {"STRIPE_SECRET_KEY": servers.LIVE_KEY, "STRIPE_API_BASE": base, "SECRET_KEY": "x1" * 20}
    (tmp_path / ".env").write_text(f"PORT={port}\n")
    command = [str(FLASK), "--app", str(ROOT / "wsgi.py"), "start"]
    log = (tmp_path / "log").open("w+")
    process = subprocess.Popen(command, cwd=tmp_path, env=environ(tmp_path, **given), stdout=log, stderr=log)
    try:
        servers.wait_until_up(f"http://127.0.0.1:{port}/healthz", 60)
        assert requests.get(f"http://127.0.0.1:{port}/readyz", timeout=30).status_code == 200
        assert "Pro" in requests.get(f"http://127.0.0.1:{port}/pricing", timeout=30).text
        status = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        if status.exists():  # Linux
            workers = status.read_text().split()
            assert len(workers) == 1  # gunicorn.conf.py was found: its threads, and its ticker
            threads = len(list(Path(f"/proc/{workers[0]}/task").iterdir()))
            assert threads > 1
    finally:
        process.terminate()
        process.wait(30)
        log.close()
    assert f"Portal is on http://127.0.0.1:{port}" in (tmp_path / "log").read_text()
    assert (tmp_path / "instance" / "portal.db").is_file()


def test_a_second_start_is_refused_before_it_does_anything(tmp_path: Path, sandbox: tuple[str, int]) -> None:
    base, port = sandbox
    given = {"STRIPE_SECRET_KEY": servers.LIVE_KEY, "STRIPE_API_BASE": base, "SECRET_KEY": "x1" * 20}
    with socket.create_server(("127.0.0.1", port)):
        done = run(tmp_path, "start", PORT=str(port), **given)
    assert done.returncode == 1
    assert f"PORT={port}" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Portal is on" not in done.stdout
    assert not (tmp_path / "instance" / "portal.db").exists()


def test_the_env_file_beside_wsgi_py_is_found_from_another_folder(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "portal", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    for part in PARTS:
        shutil.copytree(ROOT / part, home / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "wsgi.py", home)
    (home / ".env").write_text("INSTANCE_PATH=./data\nCATALOGUE=./portal/catalogue.toml\n")
    command = [str(FLASK), "--app", str(home / "wsgi.py"), "db", "upgrade"]
    done = subprocess.run(
        command, cwd=elsewhere, env=environ(elsewhere), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert (home / "data" / "demo.db").is_file()
    assert list(elsewhere.iterdir()) == []
