"""The production setup of docs/going-live.md, run as written on a clean clone.

Stripe is the sandbox behind TLS, because production accepts nothing else. The test fills in what a reader fills
in.
"""

import os
import pty
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import stripe

from tests.support import servers, tls

ROOT = servers.ROOT
ADA = "correct horse battery staple"
ANSWERS = {b"[y/N]: ": "y", b"Password: ": ADA, b"Repeat for confirmation: ": ADA}


@dataclass(frozen=True)
class Server:
    """The operator's machine: the clone, its environment, and Stripe."""

    clone: Path
    environ: dict[str, str]
    sandbox: str
    port: int
    front: tls.Front

    def run(self, commands: str) -> str:
        """Run the page's commands at a terminal, answering their questions, and return the output."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.clone)
            os.execvpe("bash", ["bash", "-e", "-c", commands], self.environ)
        said, asked = b"", 0
        while True:
            try:
                piece = os.read(terminal, 4096)
            except OSError:  # Linux's way of saying that the other side is closed
                break
            if not piece:
                break
            said += piece
            for question, answer in ANSWERS.items():
                if said[asked:].endswith(question):
                    asked = len(said)
                    os.write(terminal, f"{answer}\n".encode())
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
        text = said.decode()
        assert os.waitstatus_to_exitcode(status) == 0, text
        assert "Traceback" not in text
        return text


def blocks(section: str) -> list[str]:
    """The indented blocks of a numbered step, such as "3. Database and catalogue"."""
    text = (ROOT / "docs" / "going-live.md").read_text()
    step = re.search(rf"^## {re.escape(section)}\n(.*?)^## ", text, re.M | re.S)
    assert step, section
    found = re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", step[1], re.M)
    return [textwrap.dedent(one).strip() + "\n" for one in found]


def copy(clone: Path) -> None:
    """A clone with the working tree committed, and the libraries that are already installed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, clone / name)
    (clone / ".venv").symlink_to(sys.prefix)
    os.utime(clone / "requirements.txt", (0, 0))  # older than what is installed: nothing to install again


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    clone, port = tmp_path / "portal", servers.free_port()
    clone.mkdir()
    copy(clone)
    with servers.sandbox(tmp_path, servers.free_port(), servers.free_port()) as sandbox:
        behind = {
            "api.stripe.com": sandbox,
            "billing.example.com": f"http://127.0.0.1:{port}",
            "127.0.0.1": sandbox,
        }
        with tls.front(tmp_path, behind) as front:
            (tmp_path / ".curlrc").write_text(
                f'cacert = "{front.ca}"\nsilent\nshow-error\nfail-with-body\n'
                f'connect-to = "api.stripe.com:443:127.0.0.1:{front.port}"\n'
                f'connect-to = "billing.example.com:443:127.0.0.1:{front.port}"\n'
            )
            environ = {
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "CURL_HOME": str(tmp_path),
                "TERM": "dumb",
            }
            yield Server(clone, environ, sandbox, port, front)


def write_settings(server: Server, block: str) -> None:
    """Write the page's `.env` with its blanks filled in, and with Stripe behind the test's certificate."""
    filled = block.replace("SECRET_KEY=…", f"SECRET_KEY={'5f0c' * 16}", 1)
    filled = re.sub(r"STRIPE_SECRET_KEY=\S+", f"STRIPE_SECRET_KEY={servers.LIVE_KEY}", filled)
    filled = re.sub(r"MAIL_URL=\S+", "MAIL_URL=outbox", filled)
    more = {
        "PORT": server.port,
        "STRIPE_API_BASE": f"https://127.0.0.1:{server.front.port}",
        "STRIPE_CA_BUNDLE": server.front.ca,
    }
    text = filled + "".join(f"{name}={value}\n" for name, value in more.items())
    (server.clone / ".env").write_text(text)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not there, so the page's calls were not run")
def test_the_production_commands_work_as_written(server: Server) -> None:
    enter = ". .venv/bin/activate\n"
    install, settings = blocks("2. Set up production")
    server.run(install)
    catalogue = server.clone / "catalogue.toml"
    write_settings(server, settings)
    with pytest.raises(AssertionError, match=r"catalogue\.toml is the sample"):
        server.run(enter + "flask --app wsgi db upgrade")
    catalogue.write_text(catalogue.read_text().replace("sample = true\n", ""))

    (tables,) = blocks("3. Database and catalogue")
    said = server.run(enter + tables)
    assert "Make these in your live Stripe account?" in said
    assert re.search(r"pro-monthly +created +price_", said)
    assert "ada@example.com has the role admin." in said

    (endpoint,) = blocks("4. The webhook endpoint")
    secret = re.search(r"^ *STRIPE_WEBHOOK_SECRET=(whsec_\S+)", server.run(enter + endpoint), re.M)
    assert secret
    env = server.clone / ".env"
    env.write_text(env.read_text().replace("whsec_later", secret[1]))
    at_stripe = stripe.StripeClient(servers.LIVE_KEY, base_addresses={"api": server.sandbox}).v1
    (made,) = (one for one in at_stripe.webhook_endpoints.list().data if "example.com" in one.url)
    assert made.url == "https://billing.example.com/api/webhooks/stripe"
    at_stripe.webhook_endpoints.update(  # no name server knows billing.example.com
        made.id, {"url": f"http://127.0.0.1:{server.port}/api/webhooks/stripe"}
    )

    (link,) = blocks("6. Payment Links")
    assert re.search(r"^http://localhost:\d+/\S+", server.run(enter + link), re.M)

    serve(server, at_stripe)


def serve(server: Server, at_stripe: stripe.V1Services) -> None:
    """Run the service of step 7, and make the checks that the page describes."""
    service = "\n".join(blocks("7. Serve it behind TLS"))
    start = re.search(r"^ExecStart=(.+)$", service, re.M)
    assert start
    command = start[1].replace("/srv/portal", str(server.clone)).split()
    prices = len(at_stripe.prices.list({"limit": 100}).data)
    with (server.clone / "log").open("w+") as log:
        process = subprocess.Popen(command, cwd=server.clone, env=server.environ, stdout=log, stderr=log)
        try:
            servers.wait_until_up(f"http://127.0.0.1:{server.port}/healthz", 60)
            assert '"ok"' in server.run("curl https://billing.example.com/readyz")
            pricing = server.run("curl -i https://billing.example.com/pricing")
            assert "$49.99" in pricing
            assert "strict-transport-security" in pricing.lower()
            assert len(at_stripe.prices.list({"limit": 100}).data) == prices  # a start makes nothing
        finally:
            process.terminate()
            process.wait(30)
    said = (server.clone / "log").read_text()
    assert "Traceback" not in said
    assert "error" not in said.lower()
    assert (server.clone / "instance" / "portal.db").is_file()
