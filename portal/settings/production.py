"""Checks on combinations of settings: in production, with a live key, and everywhere."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from portal.settings.fields import DEFAULT_SECRET, EXAMPLE_KEY, EXAMPLE_SECRET
from portal.settings.model import Settings, is_live

MIN_SECRET = 32  # characters
PLACEHOLDERS = ("change-me", "change_me", "changeme", "your-secret", "your_secret", "insecure")

THIS_MACHINE = ("localhost", "127.0.0.1", "::1")

Fault = tuple[str, str]  # the field, and the error


def faults(settings: Settings) -> Iterator[Fault]:
    """Yield each setting that is valid by itself but not in this combination."""
    yield from _sample(settings)
    if settings.jobs == "celery" and settings.redis_url is None:
        yield "jobs", "is celery, whose workers need REDIS_URL"
    if settings.is_production:
        yield from _house(settings)
        yield from _stripe(settings)


def _sample(settings: Settings) -> Iterator[Fault]:
    """Refuse to sell the sample catalogue with a live key, unless it is intended."""
    accepted = settings.sample_catalogue or settings.names_prices
    if settings.takes_real_money and not accepted and _is_sample(settings.catalogue):
        yield (
            "sample_catalogue",
            f"is not set, and {settings.catalogue.name} is the sample that ships, which a live key does not sell"
            " by itself. Name a file of your own in CATALOGUE (remove its line `sample = true`), or your prices in"
            " STRIPE_PRICE_PRO_MONTHLY and its like, or accept the sample's plans and prices",
        )


def _is_sample(path: Path) -> bool:
    """Return whether a catalogue says that it is the sample. An unreadable one is refused when it is loaded."""
    try:
        return bool(tomllib.loads(path.read_text(encoding="utf-8")).get("sample"))
    except (OSError, ValueError):
        return False


def _house(settings: Settings) -> Iterator[Fault]:
    if settings.debug:
        yield "debug", "is on, which production refuses"
    if "base_url" not in settings.model_fields_set:
        yield "base_url", "is not set, and production builds every link on it"
    elif not settings.base_url.startswith("https://"):
        yield "base_url", "is not https, which production refuses"
    if settings.frontend_url != settings.base_url and not _is_protected(settings.frontend_url):
        yield "frontend_url", "is not https, which production refuses"
    if settings.mail_url is None:
        yield "mail_url", "is not set, and production mails the links that prove an address"
    if problem := _weakness(settings.secret_key):
        yield "secret_key", problem
    if problem := _weakness(settings.jwt_secret_key):
        yield "jwt_secret_key", problem
    if settings.metrics_token == EXAMPLE_SECRET:
        yield "metrics_token", "is the example, which production refuses"
    if EXAMPLE_KEY in settings.encryption_key:
        yield "encryption_key", "is the example, which production refuses"


def _is_protected(address: str) -> bool:
    """Return whether traffic to this address is protected: https, or this machine."""
    return address.startswith("https://") or urlsplit(address).hostname in THIS_MACHINE


def _weakness(secret: str) -> str | None:
    if secret == DEFAULT_SECRET:
        return "is not set, which production refuses"
    if secret == EXAMPLE_SECRET or any(word in secret.lower() for word in PLACEHOLDERS):
        return "is a placeholder, which production refuses"
    return "is too short for production" if len(secret) < MIN_SECRET else None


def _stripe(settings: Settings) -> Iterator[Fault]:
    key = settings.stripe_secret_key
    if key is None:
        yield "stripe_secret_key", "is not set, and production does not run on the sandbox"
    elif not is_live(key):
        yield "stripe_secret_key", "is a test key, which production's live lane refuses"
    if key is not None and not settings.stripe_api_base.startswith("https://"):
        yield "stripe_api_base", "is not https, which production refuses"
    if not settings.stripe_webhook_secret:
        yield "stripe_webhook_secret", "is not set, and production takes verified webhooks alone"
    if settings.allow_unverified_stripe:
        yield "allow_unverified_stripe", "is on, which production refuses"
