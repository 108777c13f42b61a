"""Run only the sandbox: python -m portal.sandbox --port 8001 --database sandbox.db."""

import argparse
import pathlib

from portal.sandbox.config import environ, from_environ
from portal.sandbox.server import serve


def main() -> None:
    """Read the arguments and SANDBOX_* variables, and serve."""
    parser = argparse.ArgumentParser(prog="python -m portal.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--database", type=pathlib.Path, default=pathlib.Path("sandbox.db"))
    given = parser.parse_args()
    config = from_environ(environ(), given.port, given.database)
    print(f"Stripe sandbox: API http://127.0.0.1:{config.port}, pages {config.pages}", flush=True)
    for name, key in (("SANDBOX_LIVE_KEY", config.live_key), ("SANDBOX_TEST_KEY", config.test_key)):
        if not environ().get(name):
            print(f"{name}={key}", flush=True)
    serve(config)


if __name__ == "__main__":
    main()
