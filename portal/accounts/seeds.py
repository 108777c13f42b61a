"""Second-factor seeds, encrypted at rest."""

import base64
import hmac

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from portal.settings import current_settings


def encrypt(seed: str) -> str:
    """The seed as it is stored: with the first key of ENCRYPTION_KEY."""
    return _keys().encrypt(seed.encode()).decode()


def decrypt(stored: str) -> str | None:
    """The seed; None where none of the keys opens it any more."""
    try:
        return _keys().decrypt(stored).decode()
    except InvalidToken:
        return None


def renewed(stored: str) -> str:
    """The same seed under the first key, so that an old key can go once everybody has signed in."""
    return _keys().rotate(stored).decode()


def _keys() -> MultiFernet:
    """The keys that were set, the newest first, then one made of SECRET_KEY for where none was."""
    settings = current_settings()
    made = hmac.digest(settings.secret_key.encode(), b"second-factor seeds", "sha256")
    keys = [*settings.encryption_key, base64.urlsafe_b64encode(made).decode()]
    return MultiFernet([Fernet(key) for key in keys])
