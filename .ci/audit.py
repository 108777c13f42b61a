"""`make check`'s last step: known faults in the libraries, or a loud word that nobody looked.

pip-audit can end well having audited nothing, when its index does not answer; so that is told apart.
"""

import subprocess
import sys
from pathlib import Path

OPTIONS = ["--strict", "--disable-pip", "--require-hashes", "--progress-spinner=off", "--timeout=10"]


def main() -> int:
    """0 when clean or not auditable, 1 when a library has a known fault."""
    audit = Path(sys.executable).with_name("pip-audit")
    try:
        done = subprocess.run(  # noqa: S603
            [str(audit), *OPTIONS, "-r", "requirements.txt"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except subprocess.TimeoutExpired:
        print("NOT AUDITED: the advisory service did not answer.")
        return 0
    said = done.stdout + done.stderr
    if done.returncode == 0 and "No known vulnerabilities found" in said:
        print("Audited: no known vulnerabilities.")
        return 0
    if "Found" in said and "known vulnerabilit" in said:
        print(said)
        return 1
    print("NOT AUDITED: the advisory service could not be reached.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
