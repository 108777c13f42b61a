"""A chat webhook, and the portal's settings that name it."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support.world import World

OPS = "ops@example.com"
SECRET_PATH = "/hooks/T0SECRETOFTHECHAT"


@dataclass
class Chat:
    """A chat's webhook: what it was sent, and how it answers."""

    url: str = ""
    status: int = 200
    texts: list[str] = field(default_factory=list)
    tried: int = 0
    hangs: threading.Event | None = None  # until it is set, no answer


@pytest.fixture
def chat() -> Iterator[Chat]:
    """A chat that listens."""
    found = Chat()

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.tried += 1
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert list(body) == ["text"]
            if found.hangs:
                found.hangs.wait(60)
            if found.status < 300:
                found.texts.append(body["text"])
            self.send_response(found.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}{SECRET_PATH}"
    yield found
    if found.hangs:
        found.hangs.set()
    server.shutdown()
    server.server_close()
    thread.join(10)


@pytest.fixture
def told(here: World, chat: Chat, monkeypatch: pytest.MonkeyPatch) -> Chat:
    """The chat, with ALERTS_TO naming it and an address, and no memory of earlier tests."""
    settings = here.app.extensions["settings"]
    given = settings.model_copy(update={"alerts_to": (f"mailto:{OPS}", chat.url)})
    monkeypatch.setitem(here.app.extensions, "settings", given)
    (settings.instance_path / "alerts.json").unlink(missing_ok=True)
    for file in (settings.instance_path / "outbox").glob("alert*.eml"):
        file.unlink()
    return chat
