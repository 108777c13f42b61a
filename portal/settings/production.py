"""What production refuses, what a live key refuses, and what does not fit together anywhere."""

import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from portal.settings.fields import DEFAULT_SECRET, EXAMPLE_KEY, EXAMPLE_SECRET
from portal.settings.model import Settings, is_live

MIN_SECRET = 32  # characters
PLACEHOLDERS = ("change-me", "change_me", "changeme", "your-secret", "your_secret", "insecure")

THIS_MACHINE = ("localhost", "127.0.0.1", "::1")

Fault = tuple[str, str]  # the field, and what is wrong with it


def faults(settings: Settings) -> Iterator[Fault]:
    """Each setting that is right by itself and cannot stay as it is."""
    yield from _repeated_prices(settings)
    yield from _sample(settings)
    if settings.is_production:
        yield from _house(settings)
        yield from _stripe(settings)


def _repeated_prices(settings: Settings) -> Iterator[Fault]:
    plans = {key: price for key, price in settings.price_ids.items() if "-" in key}
    count = Counter(plans.values())
    for key, price in plans.items():
        if count[price] > 1:
            yield f"stripe_price_{key.replace('-', '_')}", "is the price of another plan or cycle too"


def _sample(settings: Settings) -> Iterator[Fault]:
    """The catalogue that ships is nobody's: with a live key it is sold on purpose, or not at all."""
    accepted = settings.sample_catalogue or settings.names_prices
    if settings.takes_real_money and not accepted and _is_sample(settings.catalogue):
        yield (
            "sample_catalogue",
            f"is not set, and {settings.catalogue.name} is the sample that ships, which a live key does not sell"
            " by itself. Name a file of your own in CATALOGUE (remove its line `sample = true`), or your prices in"
            " STRIPE_PRICE_PRO_MONTHLY and its like, or accept the sample's plans and prices",
        )


def _is_sample(path: Path) -> bool:
    """Whether a catalogue says that it is the sample. One that cannot be read is refused where it is loaded."""
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
    if EXAMPLE_KEY in settings.encryption_key:
        yield "encryption_key", "is the example, which production refuses"


def _is_protected(address: str) -> bool:
    """Whether nobody on the way reads what is sent there: https, or this machine."""
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
