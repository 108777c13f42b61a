"""P14: the sandbox as a process: its start, creates over one connection, a year of a hundred subscriptions.

Each goal is a time, in processor seconds of the server's process: waiting and other processes do not count. With
the peers, creates are also measured against localstripe, another stand-in for Stripe, in turns.
"""

import contextlib
import http.client
import json
import os
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import peers
from bench.race import PYTHON, REPEATS, ROOT
from bench.table import Line, ratios
from tests.support.servers import free_port

Form = dict[str, Any]
TICKS = os.sysconf("SC_CLK_TCK")
START, CREATE, YEAR = 1.0, 1 / 400, 2.0  # processor seconds that each may take
CREATES, SUBSCRIPTIONS = 400, 100
JANUARY, MONTH = 1_800_000_000, 31 * 24 * 60 * 60
CARD = {"payment_method": "pm_card_visa", "invoice_settings[default_payment_method]": "pm_card_visa"}
PRICE = {
    "unit_amount": 900,
    "currency": "usd",
    "recurring[interval]": "month",
    "product_data[name]": "Pro",
}


@dataclass(frozen=True)
class Server:
    """A running stand-in for Stripe."""

    process: "subprocess.Popen[bytes]"
    wire: http.client.HTTPConnection

    def seconds(self) -> float:
        """Processor seconds that the process has used, itself and in the kernel."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def post(self, path: str, form: Form) -> Form:
        """Its answer. Raises RuntimeError for a refusal."""
        kind = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": "Bearer sk_test_bench"}
        self.wire.request("POST", path, urllib.parse.urlencode(form), kind)
        answer = self.wire.getresponse()
        body: Form = json.loads(answer.read())
        if answer.status != 200:
            raise RuntimeError(f"{path} answered {body}")
        return body


@contextlib.contextmanager
def served(command: list[str], port: int, folder: Path) -> Iterator[Server]:
    """Start a server, and stop it. Raises RuntimeError if it does not listen."""
    folder.mkdir(parents=True, exist_ok=True)
    given = os.environ | {"SANDBOX_TEST_KEY": "sk_test_bench"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=given, stdout=log, stderr=log)
    wire = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        deadline = time.monotonic() + 30
        while wire.sock is None:
            with contextlib.suppress(OSError):
                wire.connect()
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((folder / "log").read_text()[-2000:])
            time.sleep(0.01)
        yield Server(process, wire)
    finally:
        wire.close()
        process.terminate()
        process.wait(30)


def ours(folder: Path) -> contextlib.AbstractContextManager[Server]:
    """The sandbox with an empty file."""
    port = free_port()
    command = [str(PYTHON), "-m", "portal.sandbox", "--port", str(port), "--database", str(folder / "sandbox.db")]
    return served(command, port, folder)


def localstripe(folder: Path) -> contextlib.AbstractContextManager[Server]:
    """The peer without its past."""
    port = free_port()
    return served([str(peers.PYTHON), "-m", "localstripe", "--port", str(port), "--from-scratch"], port, folder)


def lines(kind: str, folder: Path, *, with_peers: bool) -> Iterator[Line]:
    """Its own database is always SQLite, so it is measured beside that one alone."""
    if kind != "SQLite":
        return
    starts, creates, years, theirs = [], [], [], []
    try:
        for repeat in range(REPEATS):
            place = folder / "sandbox" / str(repeat)
            with ours(place / "ours") as server:
                starts.append(server.seconds())
                creates.append(create(server))
                years.append(year(server))
            if with_peers:
                with localstripe(place / "localstripe") as server:
                    theirs.append(create(server))
    except RuntimeError as error:
        yield Line("P14 sandbox", 1, trouble=str(error))
        return
    yield own("start", starts, START)
    yield own("a create", creates, CREATE)
    yield own(f"a year of {SUBSCRIPTIONS} subscriptions", years, YEAR)
    name = "P14 sandbox, a create / localstripe"
    if theirs:
        yield Line(name, 0.4, ours=middle(creates), peer=middle(theirs), ratios=ratios(creates, theirs))
    else:
        yield Line(name, 0.4, skipped="peer not measured")


def own(what: str, took: list[float], limit: float) -> Line:
    """The line of a goal that is a time."""
    rates = [one / limit for one in took]
    return Line(f"P14 sandbox, {what} / {limit * 1000:g} ms", 1, ours=middle(took), ratios=rates)


def middle(took: list[float]) -> str:
    """The median, in milliseconds."""
    return f"{sorted(took)[len(took) // 2] * 1000:.2f} ms"


def create(server: Server) -> float:
    """Processor seconds of a create."""
    server.post("/v1/customers", {"email": "first@example.com"})
    begun = server.seconds()
    for number in range(CREATES):
        server.post("/v1/customers", {"email": f"{number}@example.com", "name": "Ann"})
    return (server.seconds() - begun) / CREATES


def year(server: Server) -> float:
    """Processor seconds of twelve renewals of each subscription."""
    clock = server.post("/v1/test_helpers/test_clocks", {"frozen_time": JANUARY})["id"]
    price = server.post("/v1/prices", PRICE)["id"]
    for _ in range(SUBSCRIPTIONS):
        customer = server.post("/v1/customers", {"test_clock": clock, **CARD})["id"]
        server.post("/v1/subscriptions", {"customer": customer, "items[0][price]": price})
    begun = server.seconds()
    for month in range(1, 13):
        then = {"frozen_time": JANUARY + month * MONTH}
        server.post(f"/v1/test_helpers/test_clocks/{clock}/advance", then)
    return server.seconds() - begun
