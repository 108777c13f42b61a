"""The settings are read once, in a known order, and a bad one stops the start by name, without being repeated."""

from pathlib import Path

import pytest
from dotenv import dotenv_values

from portal.settings import Settings, flask_config, load
from portal.settings.fields import EXAMPLE_KEY, EXAMPLE_SECRET
from portal.settings.model import CATALOGUE
from portal.settings.reading import FIELDS
from tests.support.env_files import ALLOW_LIST, CREDITS, FERNET, LINKS, PLANS, USAGE
from tests.support.reading import PRODUCTION, read, refusal

pytestmark = pytest.mark.usefixtures("elsewhere")


def test_without_any_setting_the_sandbox_stands_in_for_stripe(tmp_path):
    settings = read()
    assert settings.uses_sandbox
    assert settings.base_url == settings.frontend_url == "http://127.0.0.1:8000"
    assert settings.stripe_api_base == "http://127.0.0.1:8001"
    assert settings.checkout_origins == ("http://localhost:8001",)
    assert settings.database_url == f"sqlite:///{tmp_path}/instance/demo.db"
    assert settings.allowed_price_ids is None
    assert not settings.is_production


def test_with_a_stripe_key_the_portal_talks_to_stripe():
    settings = read(STRIPE_SECRET_KEY="sk_test_1")
    assert not settings.uses_sandbox
    assert settings.stripe_api_base == "https://api.stripe.com"
    pages = ("checkout", "billing", "buy", "invoice")  # the last: where a change's payment is confirmed
    assert settings.checkout_origins == tuple(f"https://{page}.stripe.com" for page in pages)
    assert settings.secret_key_for("live") == "sk_test_1"
    assert settings.secret_key_for("test") is None
    assert settings.webhook_secrets("live") == ()


def test_another_stripe_compatible_server_can_be_named():
    settings = read(STRIPE_API_BASE="http://127.0.0.1:12111/", CHECKOUT_ORIGINS="http://a.test:1, http://b.test")
    assert settings.stripe_api_base == "http://127.0.0.1:12111"
    assert settings.checkout_origins == ("http://a.test:1", "http://b.test")


@pytest.mark.parametrize("text", [LINKS, CREDITS, ALLOW_LIST, USAGE, PLANS])
def test_the_env_file_of_every_system_before_us_loads(text, tmp_path):
    env_file = tmp_path / ".env"
    env_file.write_text(text.replace("ENVIRONMENT=production", "ENVIRONMENT=development"))
    assert not load({}, env_file).uses_sandbox


@pytest.mark.parametrize("text", [LINKS, USAGE, PLANS + "MAIL_URL=smtp://mail.example.com\n"])
def test_a_live_key_starts_where_the_settings_name_prices(text, tmp_path):
    env_file = tmp_path / ".env"
    env_file.write_text(text)
    assert load({}, env_file).takes_real_money


def test_what_those_files_say_is_understood(tmp_path):
    env_file = tmp_path / ".env"
    env_file.write_text(LINKS)
    assert load({}, env_file).price_map["price_1SGaX7LcPYf7t6osBWkbJgXG"] == "pro"
    env_file.write_text(PLANS)
    plans = load({"MAIL_URL": "outbox"}, env_file)
    assert plans.is_production
    assert plans.database_url == "postgresql+psycopg://portal:pass$word@db.example.com:5432/portal"
    assert plans.allowed_origins == ("https://smartstockbot.app",)
    assert plans.price_ids["pro-yearly"] == "price_pro_y"
    env_file.write_text(CREDITS)
    assert load({}, env_file).frontend_url == "http://localhost:3000"
    env_file.write_text(ALLOW_LIST)
    assert load({}, env_file).allowed_price_ids == {"price_xstream_paygo", "price_xstream_subscription"}
    env_file.write_text(USAGE)
    usage = load({}, env_file)
    assert usage.admin_path == "/admin47392"
    assert usage.price_ids["cpu_hour"] == "price_..."
    assert usage.secret_key_for("test") == "sk_test_..."


def test_the_environment_wins_over_the_file_and_the_name_over_its_alias(tmp_path):
    env_file = tmp_path / ".env"
    env_file.write_text("PORT=9000\nGRACE_DAYS=3\n")
    settings = load({"PORT": "9001"}, env_file)
    assert (settings.port, settings.grace_days) == (9001, 3)
    both = read(STRIPE_PRICE_MAP="price_1:pro", OSCILLINK_STRIPE_PRICE_MAP="price_2:beta")
    assert both.price_map == {"price_1": "pro"}


def test_spaces_and_newlines_around_values_and_empty_values_do_not_count():
    settings = read(STRIPE_SECRET_KEY=" sk_test_1\n", STRIPE_WEBHOOK_SECRET="whsec_1 ,\n whsec_2 ", PORT="")
    assert settings.secret_key_for("live") == "sk_test_1"
    assert settings.webhook_secrets("live") == ("whsec_1", "whsec_2")
    assert settings.port == 8000


def test_unknown_names_are_ignored():
    assert read(NEXT_PUBLIC_API_URL="http://x", USES_SANDBOX="maybe").uses_sandbox


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgres://u@h/d", "postgresql+psycopg://u@h/d"),
        ("postgresql://u@h/d", "postgresql+psycopg://u@h/d"),
        ("postgresql+psycopg:///d?host=/run", "postgresql+psycopg:///d?host=/run"),
        ("sqlite:////tmp/x.db", "sqlite:////tmp/x.db"),
    ],
)
def test_database_addresses_get_their_driver(given, expected):
    assert read(DATABASE_URL=given).database_url == expected


BAD = [
    ("ENVIRONMENT", "prod"),
    ("DEBUG", "perhaps"),
    ("PORT", "80a0"),
    ("PORT", "70000"),
    ("SANDBOX_PORT", "0"),
    ("ADMIN_EMAIL", "ada"),
    ("JWT_ALGORITHM", "none"),
    ("ACCESS_TOKEN_EXPIRE_MINUTES", "-1"),
    ("REFRESH_TOKEN_EXPIRE_DAYS", "0"),
    ("ENCRYPTION_KEY", "tooshort"),
    ("ENCRYPTION_KEY", "c2hvcnQ="),
    ("ENCRYPTION_KEY", f"{FERNET},{FERNET[:-2]}"),
    ("API_PREFIX", "api/v1/"),
    ("DATABASE_URL", "mysql://u@h/d"),
    ("DATABASE_URL", "postgresql://u:p@h:port/d"),
    ("REDIS_URL", "http://h:6379"),
    ("BASE_URL", "billing.example.com"),
    ("BASE_URL", "https://u:p@billing.example.com"),
    ("BASE_URL", "https://billing.example.com/?a=1"),
    ("FRONTEND_URL", "ftp://x"),
    ("TRUSTED_PROXIES", "one"),
    ("ALLOWED_ORIGINS", "https://app.example.com"),
    ("ALLOWED_ORIGINS", '{"a": 1}'),
    ("ALLOWED_ORIGINS", '["https://app.example.com/path"]'),
    ("CHECKOUT_ORIGINS", "checkout.example.com"),
    ("STRIPE_SECRET_KEY", "pk_live_51Nx"),
    ("STRIPE_SECRET_KEY", "whsec_51Nx"),
    ("STRIPE_SECRET_KEY", "<your-stripe-secret-key>"),
    ("STRIPE_SECRET_KEY", "sk_live_51 Nx"),
    ("STRIPE_PUBLISHABLE_KEY", "sk_live_51Nx"),
    ("STRIPE_WEBHOOK_SECRET", "we_1Nx"),
    ("STRIPE_WEBHOOK_SECRET", "whsec_1,sk_live_1"),
    ("STRIPE_TEST_SECRET_KEY", "sk_live_51Nx"),
    ("STRIPE_TEST_SECRET_KEY", "rk_live_51Nx"),
    ("STRIPE_TEST_PUBLISHABLE_KEY", "pk_live_51Nx"),
    ("STRIPE_TEST_PRODUCT_ID", "price_1"),
    ("STRIPE_API_BASE", "127.0.0.1:12111"),
    ("STRIPE_PRICE_MAP", "price_1=pro"),
    ("STRIPE_PRICE_MAP", "price_1:pro;price_1:beta"),
    ("STRIPE_PRICE_PRO_MONTHLY", "prod_1"),
    ("STRIPE_PRICE_ID_CREDIT", "1"),
    ("STRIPE_ALLOWED_PRICE_IDS", "price_1;price_2"),
    ("STRIPE_ALLOWED_PRICE_IDS", ","),
    ("ALLOW_UNVERIFIED_STRIPE", "2"),
    ("ADMIN_PATH", "admin"),
    ("ADMIN_PATH", "/"),
    ("ADMIN_PATH", "/a/b"),
    ("ADMIN_PATH", "/../x"),
    ("ADMIN_PATH", "/billing"),
    ("GRACE_DAYS", "-1"),
    ("CATALOGUE", "/nowhere/catalogue.toml"),
    ("MAIL_URL", "http://mail.example.com"),
    ("SENTRY_DSN", "https://sentry.example.com/1"),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_is_refused_in_one_line_with_an_example(name, value):
    words = refusal(**{name: value})
    assert words.startswith(f"{name} ")
    assert f"for example {name}=" in words
    assert len(words.splitlines()) == 1


def test_every_example_is_a_right_one(tmp_path):
    (tmp_path / "catalogue.toml").write_text("")
    (tmp_path / "ca.pem").write_text("")
    for field, names in FIELDS.items():
        words = Settings.model_fields[field].json_schema_extra
        read(**PRODUCTION | {"ENVIRONMENT": "development", names[0]: words["example"]})
        example = words["in_production"]
        read(**PRODUCTION | {names[0]: example() if callable(example) else example})


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, v in BAD if "KEY" in n or "SECRET" in n or "_URL" in n])
def test_a_refused_secret_is_not_repeated(name, value):
    example = Settings.model_fields[name.lower()].json_schema_extra["example"]
    assert value not in refusal(**{name: value}).replace(example, "")


def test_all_bad_values_are_named_at_once():
    words = refusal(PORT="x", GRACE_DAYS="x", BASE_URL="x")
    assert [line.split()[0] for line in words.splitlines()] == ["PORT", "BASE_URL", "GRACE_DAYS"]


def test_what_production_refuses_is_told_with_the_bad_values():
    words = refusal(ENVIRONMENT="production", GRACE_DAYS="x", STRIPE_SECRET_KEY="sk_live_1")
    named = [line.split()[0] for line in words.splitlines()]
    expected = "SECRET_KEY BASE_URL STRIPE_WEBHOOK_SECRET GRACE_DAYS SAMPLE_CATALOGUE MAIL_URL"
    assert named == expected.split()


def test_a_bad_value_is_told_once_and_nothing_that_stands_on_it():
    words = refusal(**PRODUCTION | {"BASE_URL": "billing", "STRIPE_SECRET_KEY": "pk_live_1"})
    assert [line.split()[0] for line in words.splitlines()] == ["BASE_URL", "STRIPE_SECRET_KEY"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OSCILLINK_STRIPE_PRICE_MAP", "pro"),
        ("NEXT_PUBLIC_STRIPE_PUBLISHABLE_KEY", "sk_live_51Nx"),
        ("NEXT_PUBLIC_STRIPE_TEST_PUBLISHABLE_KEY", "pk_live_51Nx"),
    ],
)
def test_a_fault_is_told_under_the_name_that_was_set(name, value):
    words = refusal(**{name: value})
    assert words.startswith(f"{name} ")
    assert f"for example {name}=" in words


@pytest.mark.parametrize("key", ["sk_live_51Nx", "rk_live_51Nx"])
def test_a_live_key_does_not_sell_the_sample_catalogue_by_itself(key, tmp_path):
    words = refusal(STRIPE_SECRET_KEY=key)
    assert words.startswith("SAMPLE_CATALOGUE is not set, and catalogue.toml is the sample")
    assert "CATALOGUE" in words
    assert "STRIPE_PRICE_PRO_MONTHLY" in words
    assert read(STRIPE_SECRET_KEY=key, SAMPLE_CATALOGUE="accept").takes_real_money
    assert read(STRIPE_SECRET_KEY=key, STRIPE_ALLOWED_PRICE_IDS="price_1").takes_real_money
    sample = CATALOGUE.read_text()
    (tmp_path / "mine.toml").write_text(sample)
    assert "mine.toml is the sample" in refusal(STRIPE_SECRET_KEY=key, CATALOGUE="mine.toml")
    (tmp_path / "mine.toml").write_text(sample.replace("sample = true", ""))
    assert read(STRIPE_SECRET_KEY=key, CATALOGUE="mine.toml").takes_real_money


def test_the_sample_is_for_the_sandbox_and_test_keys():
    for settings in (read(), read(STRIPE_SECRET_KEY="sk_test_1"), read(STRIPE_TEST_SECRET_KEY="sk_test_1")):
        assert not settings.takes_real_money


def test_mails_are_kept_in_files_on_purpose_alone():
    assert "MAIL_URL is not set" in refusal(**PRODUCTION | {"MAIL_URL": ""})
    assert read(**PRODUCTION | {"MAIL_URL": "outbox"}).smtp_url is None
    assert read(**PRODUCTION | {"MAIL_URL": "smtp://h"}).smtp_url == "smtp://h"
    assert "MAIL_URL" in refusal(MAIL_URL="inbox")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_a_front_end_on_this_machine_may_be_on_http(host):
    address = f"http://{host}:3000"
    assert read(**PRODUCTION | {"FRONTEND_URL": address}).frontend_url == address


def test_mixed_up_keys_are_named_for_what_they_are():
    assert "STRIPE_TEST_SECRET_KEY is a live key" in refusal(STRIPE_TEST_SECRET_KEY="sk_live_1")
    assert "STRIPE_SECRET_KEY is a publishable key" in refusal(STRIPE_SECRET_KEY="pk_live_1")
    assert "STRIPE_PUBLISHABLE_KEY is a secret key" in refusal(STRIPE_PUBLISHABLE_KEY="sk_live_1")


def test_two_plans_cannot_share_a_price():
    words = refusal(STRIPE_PRICE_PRO_MONTHLY="price_1", STRIPE_PRICE_PRO_YEARLY="price_1")
    assert [line.split()[0] for line in words.splitlines()] == [
        "STRIPE_PRICE_PRO_MONTHLY",
        "STRIPE_PRICE_PRO_YEARLY",
    ]


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


def test_secrets_are_in_no_text_of_the_settings():
    secrets = {
        "SECRET_KEY": "secret-of-the-house",
        "JWT_SECRET_KEY": "secret-of-the-tokens",
        "ADMIN_PASSWORD": "secret-of-ada",
        "DEMO_USER_PASSWORD": "secret-of-demo",
        "ENCRYPTION_KEY": FERNET,
        "STRIPE_SECRET_KEY": "sk_live_secret",
        "STRIPE_TEST_SECRET_KEY": "sk_test_secret",
        "STRIPE_WEBHOOK_SECRET": "whsec_secret",
        "STRIPE_TEST_WEBHOOK_SECRET": "whsec_test_secret",
        "DATABASE_URL": "postgresql://u:dbsecret@h/d",
        "REDIS_URL": "redis://:redissecret@h",
        "MAIL_URL": "smtp://u:mailsecret@h",
        "SENTRY_DSN": "https://sentrysecret@h/1",
        "SAMPLE_CATALOGUE": "accept",
    }
    texts = repr(read(**secrets)) + str(read(**secrets)) + refusal(**secrets, PORT="x")
    assert not [name for name, value in secrets.items() if value in texts and name != "SAMPLE_CATALOGUE"]


def test_no_piece_of_a_password_is_repeated():
    assert "hunter" not in refusal(DATABASE_URL="postgresql://u:hunter/2@h/d")
    assert "hunter" not in refusal(MAIL_URL="smtp://u:hunter/2@h")


def test_settings_cannot_be_changed():
    settings = read()
    with pytest.raises(ValueError):
        settings.port = 1


def test_the_example_file_names_every_setting_with_its_default():
    example = Path(__file__).parents[2] / ".env.example"
    assert list(dotenv_values(example)) == list(dict.fromkeys(dotenv_values(example)))
    assert set(dotenv_values(example)) == {str(names[0]) for names in FIELDS.values()}
    assert load({}, example) == load({}, None)
    text = example.read_text()
    assert all(str(alias) in text for names in FIELDS.values() for alias in names)


def test_flask_gets_secure_cookies_where_the_portal_is_on_https():
    assert flask_config(read(**PRODUCTION))["SESSION_COOKIE_NAME"].startswith("__Host-")
    assert flask_config(read())["SESSION_COOKIE_SECURE"] is False
