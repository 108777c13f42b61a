"""Production refuses settings that only development may have."""

import pytest

from portal.settings import flask_config
from portal.settings.fields import EXAMPLE_KEY, EXAMPLE_SECRET
from tests.support.reading import PRODUCTION, read, refusal

pytestmark = pytest.mark.usefixtures("elsewhere")


def test_what_production_refuses_is_told_with_the_bad_values():
    words = refusal(ENVIRONMENT="production", GRACE_DAYS="x", STRIPE_SECRET_KEY="sk_live_1")
    named = [line.split()[0] for line in words.splitlines()]
    expected = "SECRET_KEY BASE_URL STRIPE_WEBHOOK_SECRET GRACE_DAYS SAMPLE_CATALOGUE MAIL_URL"
    assert named == expected.split()


def test_mails_are_kept_in_files_on_purpose_alone():
    assert "MAIL_URL is not set" in refusal(**PRODUCTION | {"MAIL_URL": ""})
    assert read(**PRODUCTION | {"MAIL_URL": "outbox"}).smtp_url is None
    assert read(**PRODUCTION | {"MAIL_URL": "smtp://h"}).smtp_url == "smtp://h"
    assert "MAIL_URL" in refusal(MAIL_URL="inbox")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_a_front_end_on_this_machine_may_be_on_http(host):
    address = f"http://{host}:3000"
    assert read(**PRODUCTION | {"FRONTEND_URL": address}).frontend_url == address


def test_production_starts_with_what_it_needs():
    assert read(**PRODUCTION).is_production


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEBUG", "true"),
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "short"),
        ("SECRET_KEY", "change-me-" * 5),
        ("SECRET_KEY", EXAMPLE_SECRET),
        ("JWT_SECRET_KEY", "short"),
        ("ENCRYPTION_KEY", EXAMPLE_KEY),
        ("BASE_URL", "http://billing.example.com"),
        ("BASE_URL", ""),
        ("FRONTEND_URL", "http://app.example.com"),
        ("MAIL_URL", ""),
        ("STRIPE_API_BASE", "http://127.0.0.1:12111"),
        ("STRIPE_WEBHOOK_SECRET", ""),
        ("STRIPE_SECRET_KEY", ""),
        ("STRIPE_SECRET_KEY", "sk_test_51Nx"),
        ("STRIPE_SECRET_KEY", "rk_test_51Nx"),
        ("ALLOW_UNVERIFIED_STRIPE", "1"),
        ("OSCILLINK_ALLOW_UNVERIFIED_STRIPE", "1"),
    ],
)
def test_production_refuses_what_only_development_may(name, value):
    words = refusal(**PRODUCTION | {name: value})
    assert words.startswith(f"{name} ")
    assert len(words.splitlines()) == 1


def test_flask_gets_secure_cookies_where_the_portal_is_on_https():
    assert flask_config(read(**PRODUCTION))["SESSION_COOKIE_NAME"].startswith("__Host-")
    assert flask_config(read())["SESSION_COOKIE_SECURE"] is False
