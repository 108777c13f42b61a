"""nginx and HAProxy with the configurations of examples/, in front of portals under test."""

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support import servers

EXAMPLES = servers.ROOT / "examples"
KINDS = ("nginx", "haproxy")
SERVERS = re.compile(r"10\.0\.0\.1([123]):8000")

NGINX = """daemon off; user root; worker_processes 1;
pid {folder}/nginx.pid; error_log {folder}/nginx-error.log warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    {site}
}}
"""


def absent(kind: str) -> str | None:
    """Return what is missing on this machine; None if this proxy can run."""
    return None if _program(kind) else f"{kind} is not installed (Debian: apt-get install {kind})"


def _program(kind: str) -> str | None:
    return shutil.which(kind) or shutil.which(kind, path="/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def proxy(kind: str, folder: Path, hosts: Sequence[str]) -> Iterator[str]:
    """Run this proxy in front of three hosts, each `address:port`, and return its address."""
    port = servers.free_port()
    write = {"nginx": _nginx, "haproxy": _haproxy}[kind]
    command = [str(_program(kind)), *write(folder, port, hosts)]
    with (folder / f"{kind}.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            servers.wait_until_up(f"http://127.0.0.1:{port}/healthz")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def _placed(text: str, hosts: Sequence[str]) -> str:
    placed, count = SERVERS.subn(lambda found: hosts[(int(found[1]) - 1) % len(hosts)], text)
    assert count >= len(hosts)
    return placed


def _nginx(folder: Path, port: int, hosts: Sequence[str]) -> list[str]:
    site = _placed((EXAMPLES / "nginx.conf").read_text(), hosts)
    site, count = re.subn(r"listen 443 ssl;", f"listen 127.0.0.1:{port};", site)
    assert count == 1
    site = re.sub(r"(?m)^\s*ssl_certificate.*\n", "", site)
    path = folder / "nginx.conf"
    path.write_text(NGINX.format(folder=folder, site=site))
    return ["-c", str(path)]


def _haproxy(folder: Path, port: int, hosts: Sequence[str]) -> list[str]:
    text = _placed((EXAMPLES / "haproxy.cfg").read_text(), hosts)
    text, count = re.subn(r"bind :443 ssl crt \S+", f"bind 127.0.0.1:{port}", text)
    assert count == 1
    text = text.replace("/etc/haproxy/portal-503.http", str(EXAMPLES / "portal-503.http"))
    path = folder / "haproxy.cfg"
    path.write_text(text)
    return ["-db", "-f", str(path)]
