"""The last step of `make check`: known vulnerabilities in the libraries, or a visible notice that they were not
checked.

pip-audit can succeed without auditing anything when its index does not respond, so that case is detected.
"""

import subprocess
import sys
from pathlib import Path

OPTIONS = ["--strict", "--disable-pip", "--require-hashes", "--progress-spinner=off", "--timeout=10"]


def main() -> int:
    """Return 0 if clean or not auditable, 1 if a library has a known vulnerability."""
    audit = Path(sys.executable).with_name("pip-audit")
    try:
        done = subprocess.run(  # noqa: S603
            [str(audit), *OPTIONS, "-r", "requirements.txt", "-r", "requirements-workers.txt"],
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
