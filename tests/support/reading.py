"""Settings read from nothing but what a test gives, and what a refusal says."""

import pytest

from portal.settings import BadSettings, Settings, load

PRODUCTION = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": "5f0c" * 16,
    "BASE_URL": "https://billing.example.com",
    "STRIPE_SECRET_KEY": "sk_live_51NxPortal",
    "STRIPE_WEBHOOK_SECRET": "whsec_5WbX",
    "MAIL_URL": "outbox",
    "SAMPLE_CATALOGUE": "accept",
}


def read(**environ: str) -> Settings:
    """Return the settings of this environment alone."""
    return load(environ, env_file=None)


def refusal(**environ: str) -> str:
    """Return the error message for this environment."""
    with pytest.raises(BadSettings) as caught:
        read(**environ)
    return str(caught.value)
