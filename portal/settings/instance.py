"""The instance folder: its contents generated at the first start, and the processes that `make run` starts.

`python -m portal.settings.instance` prepares the folder and prints honcho's arguments.
"""

import base64
import contextlib
import os
import re
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

from portal.settings import BadSettings, Settings, load
from portal.settings.reading import SANDBOX_ENV

MEASURES = "PORTAL_MEASURES"  # the process that measures into the folder; commands do not
MEASURED = "PROMETHEUS_MULTIPROC_DIR"
OWNER = re.compile(r"_(\d+)\.db$")
HEAD = "# Made at the first start, for development alone: the sandbox's keys and this instance's own secrets.\n"


def prepare(settings: Settings) -> Path:
    """Create the folder and its secrets if missing, and return the secrets' path.

    They are readable only by this user, and existing files are never changed. Raises BadSettings in production,
    and if the folder is not writable.
    """
    if settings.is_production:
        raise BadSettings("ENVIRONMENT is production: its secrets are set by you, none are generated")
    path = settings.instance_path / SANDBOX_ENV
    try:
        settings.instance_path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _write_once(path, HEAD + "".join(f"{name}={value}\n" for name, value in generate().items()))
    except OSError as error:
        raise BadSettings(f"INSTANCE_PATH cannot be written: {error.strerror}") from error
    return path


def generate() -> dict[str, str]:
    """Return new keys and secrets: the sandbox's in both modes, and the portal's own."""
    return {
        "STRIPE_SECRET_KEY": f"sk_live_{secrets.token_hex(24)}",
        "STRIPE_PUBLISHABLE_KEY": f"pk_live_{secrets.token_hex(24)}",
        "STRIPE_WEBHOOK_SECRET": f"whsec_{secrets.token_hex(24)}",
        "STRIPE_TEST_SECRET_KEY": f"sk_test_{secrets.token_hex(24)}",
        "STRIPE_TEST_PUBLISHABLE_KEY": f"pk_test_{secrets.token_hex(24)}",
        "STRIPE_TEST_WEBHOOK_SECRET": f"whsec_{secrets.token_hex(24)}",
        "SECRET_KEY": secrets.token_hex(32),
        "JWT_SECRET_KEY": secrets.token_hex(32),
        "ENCRYPTION_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    }


def processes(settings: Settings) -> str:
    """Return honcho's arguments. `web` comes first: honcho gives the first process PORT, and the others higher
    ones.
    """
    names = "web sandbox" if settings.uses_sandbox else "web"
    return f"-p {settings.port} {names}"


def measure(settings: Settings, name: str) -> None:
    """Have this process, and those that it forks, measure into files of a folder. Before the instruments' import.

    The folder is emptied, unless another live process measures into it. Nothing changes if this process does.
    """
    folder = metrics_folders(settings)[name]
    mine = (str(os.getpid()), str(folder))
    if (os.environ.get(MEASURES), os.environ.get(MEASURED)) == mine:  # gunicorn reads its file again at a reload
        return
    if not any(_is_alive(int(match[1])) for file in folder.glob("*.db") if (match := OWNER.search(file.name))):
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ[MEASURES], os.environ[MEASURED] = mine


def metrics_folders(settings: Settings) -> dict[str, Path]:
    """Return the folders that gunicorn and Celery's workers measure into."""
    return {name: settings.instance_path / "metrics" / f"{name}-{settings.port}" for name in ("web", "worker")}


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return pid != os.getpid()


def _write_once(path: Path, text: str) -> None:
    """Write the file atomically; if two processes start at once, the first one's file stays."""
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        os.unlink(draft)


def main() -> None:
    """Prepare the instance and print honcho's arguments; exit with 1 if the settings are invalid."""
    try:
        settings = load()
        if not settings.is_production:
            prepare(settings)
    except BadSettings as error:
        sys.exit(str(error))
    print(processes(settings))


if __name__ == "__main__":
    main()
