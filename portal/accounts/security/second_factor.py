"""The second factor: one-time codes of an app (TOTP, RFC 6238), and recovery codes if the app is lost."""

import base64
import hmac
from dataclasses import dataclass

import pyotp
import segno
import structlog
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from markupsafe import Markup
from sqlalchemy import or_, update

from portal import audit, clock, mail
from portal.accounts import users
from portal.accounts.security import recovery_codes
from portal.accounts.sign_in import sessions
from portal.customers import owners
from portal.errors import Conflict, InvalidInput
from portal.extensions import db
from portal.models import User
from portal.settings import current_settings

log = structlog.get_logger()

STEPS = (0, -1, 1)  # of 30 seconds each: a phone's clock may be slightly off


class WrongCode(InvalidInput):
    """The code is not one of the app's current codes, or was already used."""

    code = "wrong_code"

    def __init__(self) -> None:
        words = "This code is not right, or was used already. Wait for the next one and try again."
        super().__init__(words, errors={"code": words})


@dataclass(frozen=True)
class Enrolment:
    """The data for an authenticator app: the secret, as text and as the URL in its QR code."""

    secret: str
    uri: str

    @property
    def qr(self) -> Markup:
        """Return the QR code as SVG, black on white in any color scheme, as cameras need it."""
        picture = segno.make_qr(self.uri, error="m").svg_inline(
            omitsize=True, light="#fff", dark="#000", svgclass="qr"
        )
        return Markup(picture)  # noqa: S704 made of squares, not of words


def admin_ready(user: User) -> bool:
    """Return whether a staff user may use the admin pages: outside development they need a second factor."""
    return user.has_second_factor or not current_settings().is_production


def begin(user: User) -> None:
    """Create a secret for an app that is not confirmed yet. Flushes. Raises Conflict if one is already on."""
    owners.hold_signed_in(user)
    if user.has_second_factor:
        raise Conflict("Your second factor is on already. Turn it off before you set up another app.")
    user.totp_seed = _encrypted(pyotp.random_base32())
    user.totp_step = None
    db.session.flush()


def enrolment(user: User) -> Enrolment | None:
    """Return the data for the app; None before the setup begins and once it is on."""
    secret = None if user.has_second_factor else _secret(user)
    if secret is None:
        return None
    return Enrolment(secret, pyotp.TOTP(secret).provisioning_uri(name=user.email, issuer_name=mail.BRAND))


def turn_on(user: User, code: str) -> list[str]:
    """Turn the second factor on with a correct code, and return the recovery codes, shown only once. Flushes.

    Every session but this browser's ends, so that every later session has entered a code. Raises WrongCode.
    """
    owners.hold_signed_in(user)
    step = None if user.has_second_factor else _step(user, code)
    if step is None:
        raise WrongCode
    user.totp_step = step
    user.second_factor_at = clock.now()
    sessions.end_others(user)
    _tell(user, "on")
    return recovery_codes.make(user)


def check(user: User, code: str) -> bool:
    """Use up a code of the app, or a recovery code, for which it returns True. Flushes.

    Raises WrongCode after recording and committing the failure.
    """
    owners.hold_signed_in(user)
    if _take(user, code):
        return False
    if not recovery_codes.redeem(user, code):
        log.warning("second_factor_failed", user_id=user.id)
        audit.record("second_factor.refused", user_id=user.id)
        db.session.commit()
        raise WrongCode
    audit.record("recovery_code.used", user_id=user.id)
    return True


def new_recovery_codes(user: User) -> list[str]:
    """Replace the recovery codes by ten new ones, shown only once. Flushes. Raises Conflict while it is off."""
    owners.hold_signed_in(user)
    if not user.has_second_factor:
        raise Conflict("Recovery codes come with a second factor. Set it up first.")
    audit.record("recovery_codes.made", user_id=user.id)
    return recovery_codes.make(user)


def turn_off(user: User, password: str, code: str) -> None:
    """Turn the second factor off. Raises InvalidInput if the password or code is wrong."""
    users.confirm_password(user, password)
    check(user, code)
    remove(user)


def remove(user: User) -> None:
    """Do the same without asking, for an operator who has verified the user's identity. Flushes."""
    user.totp_seed = user.totp_step = user.second_factor_at = None
    recovery_codes.remove(user)
    _tell(user, "off")


def _tell(user: User, state: str) -> None:
    """Record the change, and mail the owner, in case it was someone else."""
    audit.record(f"second_factor.{state}", user_id=user.id)
    mail.queue(user, f"second_factor_{state}", f"second_factor_{state}:{user.id}:{clock.now().timestamp()}")
    log.info(f"second_factor_{state}", user_id=user.id)


def _take(user: User, code: str) -> bool:
    """Accept a code of the app once, even with concurrent attempts."""
    step = _step(user, code)
    if step is None or user.totp_seed is None:
        return False
    is_new = or_(User.totp_step.is_(None), User.totp_step < step)
    statement = update(User).where(User.id == user.id, User.second_factor_at.is_not(None), is_new)
    taken = statement.values(totp_step=step, totp_seed=_renewed(user.totp_seed)).returning(User.id)
    return db.session.execute(taken).scalar_one_or_none() is not None


def _step(user: User, code: str) -> int | None:
    """Return the time step of a code; None if it is not one of the app's current codes."""
    secret, digits = _secret(user), "".join(code.split())
    if secret is None or not (digits.isascii() and digits.isdigit()):
        return None
    totp = pyotp.TOTP(secret)
    now = totp.timecode(clock.now())
    return next((now + step for step in STEPS if hmac.compare_digest(totp.generate_otp(now + step), digits)), None)


def _secret(user: User) -> str | None:
    if user.totp_seed is None:
        return None
    secret = _decrypted(user.totp_seed)
    if secret is None:
        log.error("second_factor_unreadable", user_id=user.id, setting="ENCRYPTION_KEY")
    return secret


def _encrypted(secret: str) -> str:
    """Encrypt the secret with the first key of ENCRYPTION_KEY, as it is stored."""
    return _keys().encrypt(secret.encode()).decode()


def _decrypted(stored: str) -> str | None:
    """Return the decrypted secret; None if no key can decrypt it."""
    try:
        return _keys().decrypt(stored).decode()
    except InvalidToken:
        return None


def _renewed(stored: str) -> str:
    """Return the secret encrypted with the first key, so that an old key can be removed once everyone has
    signed in.
    """
    return _keys().rotate(stored).decode()


def _keys() -> MultiFernet:
    """Return the configured keys, newest first, or one derived from SECRET_KEY if there are none."""
    settings = current_settings()
    made = hmac.digest(settings.secret_key.encode(), b"second-factor seeds", "sha256")
    keys = [*settings.encryption_key, base64.urlsafe_b64encode(made).decode()]
    return MultiFernet([Fernet(key) for key in keys])
