"""Running the sandbox in the foreground."""

import gc
import signal
import threading
from types import FrameType

from werkzeug.serving import make_server

from portal.sandbox.app import create_app
from portal.sandbox.config import Config
from portal.sandbox.connections import KeptOpen


def serve(config: Config) -> None:
    """Serve until SIGTERM or SIGINT."""
    app = create_app(config)
    gc.freeze()  # what was imported stays, and a request's dicts have no cycles: looking through them is a waste
    gc.set_threshold(50_000)
    server = make_server("127.0.0.1", config.port, app, threaded=True, request_handler=KeptOpen)
    app.extensions["courier"].start()

    def stop(number: int, frame: FrameType | None) -> None:
        # shutdown() waits for the loop that this handler interrupts, so another thread has to call it.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    server.serve_forever(poll_interval=0.1)
    app.extensions["courier"].stopping.set()
    server.server_close()
