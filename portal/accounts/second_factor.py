"""The second factor: one-time codes of an app (TOTP, RFC 6238), and recovery codes where the app is lost."""

import hmac
from dataclasses import dataclass

import pyotp
import segno
import structlog
from markupsafe import Markup
from sqlalchemy import or_, update

from portal import audit, clock, mail
from portal.accounts import people, recovery, seeds, sessions
from portal.errors import Conflict, InvalidInput
from portal.extensions import db
from portal.models import User
from portal.settings import current_settings

log = structlog.get_logger()

STEPS = (0, -1, 1)  # of 30 seconds each: a telephone's clock may be a little off


class WrongCode(InvalidInput):
    """The code is none of the app's at this time, or was used before."""

    code = "wrong_code"

    def __init__(self) -> None:
        words = "This code is not right, or was used already. Wait for the next one and try again."
        super().__init__(words, errors={"code": words})


@dataclass(frozen=True)
class Enrolment:
    """What an app has to learn: the secret, as text and as the address that its QR picture holds."""

    secret: str
    uri: str

    @property
    def qr(self) -> Markup:
        """The picture as SVG, black on white in any colour scheme: cameras want it so."""
        picture = segno.make_qr(self.uri, error="m").svg_inline(
            omitsize=True, light="#fff", dark="#000", svgclass="qr"
        )
        return Markup(picture)  # noqa: S704 made of squares, not of words


def admin_ready(user: User) -> bool:
    """Whether somebody who works here may go on to the admin pages: outside development they need this first."""
    return user.has_second_factor or not current_settings().is_production


def begin(user: User) -> None:
    """Make a seed for an app that is yet to prove that it has it. Flushes. Raises Conflict while one is on."""
    if user.has_second_factor:
        raise Conflict("Your second factor is on already. Turn it off before you set up another app.")
    user.totp_seed = seeds.encrypt(pyotp.random_base32())
    user.totp_step = None
    db.session.flush()


def enrolment(user: User) -> Enrolment | None:
    """What the app has to learn; None where nothing was begun, and once it is on."""
    seed = None if user.has_second_factor else _seed(user)
    if seed is None:
        return None
    return Enrolment(seed, pyotp.TOTP(seed).provisioning_uri(name=user.email, issuer_name=mail.BRAND))


def turn_on(user: User, code: str) -> list[str]:
    """Ask for codes from now on, since the app gives the right one; gives the recovery codes, this once. Flushes.

    Every session but this browser's ends: whoever is signed in afterwards has shown a code. Raises WrongCode.
    """
    step = None if user.has_second_factor else _step(user, code)
    if step is None:
        raise WrongCode
    user.totp_step = step
    user.second_factor_at = clock.now()
    sessions.end_others(user)
    _tell(user, "on")
    return recovery.make(user)


def check(user: User, code: str) -> bool:
    """Use up a code of the app, or a recovery code, which is said by True. Flushes.

    Raises WrongCode; that it was wrong is noted and committed.
    """
    if _take(user, code):
        return False
    if not recovery.redeem(user, code):
        log.warning("second_factor_failed", user_id=user.id)
        audit.record("second_factor.refused", user_id=user.id)
        db.session.commit()
        raise WrongCode
    audit.record("recovery_code.used", user_id=user.id)
    return True


def new_recovery_codes(user: User) -> list[str]:
    """Ten new ones instead of those that there were, shown this once. Flushes. Raises Conflict while it is off."""
    if not user.has_second_factor:
        raise Conflict("Recovery codes come with a second factor. Set it up first.")
    audit.record("recovery_codes.made", user_id=user.id)
    return recovery.make(user)


def turn_off(user: User, password: str, code: str) -> None:
    """Ask for the password alone from now on. Raises InvalidInput for either being wrong."""
    people.confirm_password(user, password)
    check(user, code)
    remove(user)


def remove(user: User) -> None:
    """The same without asking, for an operator whom somebody without app and codes has convinced. Flushes."""
    user.totp_seed = user.totp_step = user.second_factor_at = None
    recovery.remove(user)
    _tell(user, "off")


def _tell(user: User, state: str) -> None:
    """Write down that it is on or off, and mail its owner: it may have been somebody else."""
    audit.record(f"second_factor.{state}", user_id=user.id)
    mail.queue(user, f"second_factor_{state}", f"second_factor_{state}:{user.id}:{clock.now().timestamp()}")
    log.info(f"second_factor_{state}", user_id=user.id)


def _take(user: User, code: str) -> bool:
    """Take a code of the app once, however many ask at the same moment."""
    step = _step(user, code)
    if step is None or user.totp_seed is None:
        return False
    is_new = or_(User.totp_step.is_(None), User.totp_step < step)
    statement = update(User).where(User.id == user.id, User.second_factor_at.is_not(None), is_new)
    taken = statement.values(totp_step=step, totp_seed=seeds.renewed(user.totp_seed)).returning(User.id)
    return db.session.execute(taken).scalar_one_or_none() is not None


def _step(user: User, code: str) -> int | None:
    """Which step of time the code belongs to; None for no code of the app's, now or a moment ago."""
    seed, digits = _seed(user), "".join(code.split())
    if seed is None or not (digits.isascii() and digits.isdigit()):
        return None
    totp = pyotp.TOTP(seed)
    now = totp.timecode(clock.now())
    return next((now + step for step in STEPS if hmac.compare_digest(totp.generate_otp(now + step), digits)), None)


def _seed(user: User) -> str | None:
    if user.totp_seed is None:
        return None
    seed = seeds.decrypt(user.totp_seed)
    if seed is None:
        log.error("second_factor_unreadable", user_id=user.id, setting="ENCRYPTION_KEY")
    return seed
