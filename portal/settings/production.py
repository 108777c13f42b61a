"""What production refuses, and what does not fit together anywhere."""

from collections import Counter
from collections.abc import Iterator

from portal.settings.model import DEFAULT_SECRET, EXAMPLE_KEY, EXAMPLE_SECRET, Settings

MIN_SECRET = 32  # characters
PLACEHOLDERS = ("change-me", "change_me", "changeme", "your-secret", "your_secret", "insecure")

Fault = tuple[str, str]  # the field, and what is wrong with it


def faults(settings: Settings) -> Iterator[Fault]:
    """Each setting that is right by itself and cannot stay as it is."""
    yield from _repeated_prices(settings)
    if settings.is_production:
        yield from _house(settings)
        yield from _stripe(settings)


def _repeated_prices(settings: Settings) -> Iterator[Fault]:
    plans = {key: price for key, price in settings.price_ids.items() if "-" in key}
    count = Counter(plans.values())
    for key, price in plans.items():
        if count[price] > 1:
            yield f"stripe_price_{key.replace('-', '_')}", "is the price of another plan or cycle too"


def _house(settings: Settings) -> Iterator[Fault]:
    if settings.debug:
        yield "debug", "is on, which production refuses"
    if not settings.base_url.startswith("https://"):
        yield "base_url", "is not https, which production refuses"
    if problem := _weakness(settings.secret_key):
        yield "secret_key", problem
    if problem := _weakness(settings.jwt_secret_key):
        yield "jwt_secret_key", problem
    if EXAMPLE_KEY in settings.encryption_key:
        yield "encryption_key", "is the example, which production refuses"


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
    elif not key.startswith(("sk_live_", "rk_live_")):
        yield "stripe_secret_key", "is a test key, which production's live lane refuses"
    if key is not None and not settings.stripe_api_base.startswith("https://"):
        yield "stripe_api_base", "is not https, which production refuses"
    if not settings.stripe_webhook_secret:
        yield "stripe_webhook_secret", "is not set, and production takes verified webhooks alone"
    if settings.allow_unverified_stripe:
        yield "allow_unverified_stripe", "is on, which production refuses"
