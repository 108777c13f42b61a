"""All checks together: for the command and for the admin page."""

from portal.doctor import at_stripe, certificates, local
from portal.doctor.check import Result, run_at_stripe, run_local

HERE = (*local.CHECKS, *certificates.CHECKS)
ALL = (*HERE, *at_stripe.CHECKS)


def names() -> list[str]:
    """Return what is checked, in order."""
    return [check.name for check in ALL]


def run() -> list[Result]:
    """Run every check: first those on this machine, then those that ask Stripe."""
    return run_local(HERE) + run_at_stripe(at_stripe.CHECKS)
