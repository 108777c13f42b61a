"""Programs that only npm has: installed once, and kept for the next run."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path


def program(package: str, name: str) -> Path | None:
    """Return the program `name` of a package ("@stripe/cli@1.52.0"); None if npm cannot install it."""
    folder = "".join(character if character.isalnum() else "-" for character in package)
    kept = Path(tempfile.gettempdir()) / f"portal-tests{folder}-{os.getuid()}"
    found = kept / "node_modules" / ".bin" / name
    if not found.exists():
        _install(package, kept)
    return found if found.exists() else None


def _install(package: str, kept: Path) -> None:
    """Install beside the target and rename, because another test process may be doing the same."""
    npm = shutil.which("npm")
    if npm is None:
        return
    beside = Path(tempfile.mkdtemp())
    command = [npm, "install", "--silent", "--prefix", str(beside), package]
    installed = subprocess.run(command, capture_output=True, timeout=120, check=False)
    if installed.returncode == 0:
        shutil.rmtree(kept, ignore_errors=True)
        shutil.move(beside, kept)
