"""A check, the problems that it finds, and running them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from portal import gateway
from portal.enums import Mode
from portal.errors import PortalError, StripeUnavailable
from portal.extensions import db

OK, WARN, FAIL = "ok", "warn", "fail"
COULD_NOT_ASK = "Could not ask Stripe"


@dataclass(frozen=True)
class Problem:
    """Something that is wrong. `remedy` replaces the check's own."""

    words: str
    is_warning: bool = False
    remedy: str = ""


@dataclass(frozen=True)
class Check:
    """A name, what its problems cost, the command or page that mends them, and the search for them.

    A check of Stripe searches in one mode; a local one in none.
    """

    name: str
    cost: str
    remedy: str
    look: Callable[..., Iterator[Problem]]


@dataclass(frozen=True)
class Result:
    """A check's outcome: `ok`, or one problem with its cost and remedy."""

    name: str
    verdict: str
    mode: str = ""
    problem: str = ""
    cost: str = ""
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the fields for `--json`."""
        return asdict(self)


def run_local(checks: Sequence[Check]) -> list[Result]:
    """Run checks that ask nobody outside. A check that fails itself is a failure."""
    return [result for check in checks for result in _results(check, "")]


def run_at_stripe(checks: Sequence[Check]) -> list[Result]:
    """Run checks in each mode that has a key.

    After one that got no answer, the others of its mode say that they could not ask, so that none waits again.
    """
    found: list[Result] = []
    for mode in Mode:
        if not gateway.of(mode).is_configured:
            continue
        is_down = False
        for check in checks:
            results = [_not_asked(check, mode)] if is_down else _results(check, mode)
            is_down = is_down or any(one.problem.startswith(COULD_NOT_ASK) for one in results)
            found += results
    return found


def _results(check: Check, mode: Mode | str) -> list[Result]:
    db.session.rollback()
    try:
        problems = list(check.look(mode) if mode else check.look())
    except StripeUnavailable as error:
        is_down = error.for_operator == error.detail
        problems = [Problem(f"{COULD_NOT_ASK}: {error.detail}" if is_down else error.for_operator)]
    except PortalError as error:
        problems = [Problem(error.for_operator)]
    except Exception as error:  # a broken database or file is what this command is for
        problems = [Problem(f"The check failed: {type(error).__name__}")]
    finally:
        db.session.rollback()
    if not problems:
        return [Result(check.name, OK, str(mode))]
    return [
        Result(
            check.name,
            WARN if one.is_warning else FAIL,
            str(mode),
            one.words,
            check.cost,
            one.remedy or check.remedy,
        )
        for one in problems
    ]


def _not_asked(check: Check, mode: Mode) -> Result:
    words = f"{COULD_NOT_ASK}: it did not answer before"
    return Result(check.name, FAIL, mode, words, check.cost, "Run it again once Stripe answers.")
