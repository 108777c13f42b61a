"""The settings are read once, in a known order; an invalid one stops the start with its name, without its
value.
"""

from pathlib import Path

import pytest
from dotenv import dotenv_values

from portal.settings import Settings, load, reading
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


def test_the_env_file_beside_wsgi_py_is_read_where_the_folder_has_none(tmp_path, monkeypatch):
    home = tmp_path / "portal"
    home.mkdir()
    (home / ".env").write_text("PORT=9001\n")
    monkeypatch.setattr(reading, "BESIDE_WSGI", home / ".env")
    assert load({}).port == 9001
    assert load({}).instance_path == home / "instance"
    assert load({"INSTANCE_PATH": "./data"}).instance_path == tmp_path / "data", "the environment's is as always"
    (home / ".env").write_text("INSTANCE_PATH=./data\n")
    assert load({}).instance_path == home / "data"
    (tmp_path / ".env").write_text("PORT=9002\n")
    assert load({}).port == 9002
    assert load({}).instance_path == tmp_path / "instance"


@pytest.mark.parametrize("text", [LINKS, CREDITS, ALLOW_LIST, USAGE, PLANS])
def test_the_env_file_of_every_system_before_us_loads(text, tmp_path):
    env_file = tmp_path / ".env"
    env_file.write_text(text.replace("ENVIRONMENT=production", "ENVIRONMENT=development"))
    assert not load({}, env_file).uses_sandbox


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


@pytest.mark.parametrize("given", ["portal.db", "./portal.db", "a folder/portal.db?mode=rw"])
def test_a_relative_database_is_in_the_instance(given, tmp_path):
    found = read(DATABASE_URL=f"sqlite:///{given}", INSTANCE_PATH=str(tmp_path)).database_url
    assert found == f"sqlite:///{tmp_path / given}"


BAD = [
    ("ENVIRONMENT", "prod"),
    ("DEBUG", "perhaps"),
    ("PORT", "80a0"),
    ("PORT", "70000"),
    ("SANDBOX_PORT", "0"),
    ("ADMIN_EMAIL", "ada"),
    ("JWT_ALGORITHM", "none"),
    ("JOBS", "threads"),
    ("ACCESS_TOKEN_EXPIRE_MINUTES", "-1"),
    ("REFRESH_TOKEN_EXPIRE_DAYS", "0"),
    ("EVENT_RETENTION_DAYS", "0"),
    ("ENCRYPTION_KEY", "tooshort"),
    ("ENCRYPTION_KEY", "c2hvcnQ="),
    ("ENCRYPTION_KEY", f"{FERNET},{FERNET[:-2]}"),
    ("API_PREFIX", "api/v1/"),
    ("DATABASE_URL", "mysql://u@h/d"),
    ("DATABASE_URL", "sqlite:///:memory:"),
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
    ("INVOICES_FOR_ORDERS", "yes please"),
    ("CATALOGUE", "/nowhere/catalogue.toml"),
    ("MAIL_URL", "http://mail.example.com"),
    ("SENTRY_DSN", "https://sentry.example.com/1"),
    ("METRICS_TOKEN", "short"),
    ("METRICS_TOKEN", "a token with spaces in between"),
    ("ALERTS_TO", "ops@example.com"),
    ("ALERTS_TO", "http://chat.example.com/hook"),
    ("ALERTS_TO", "mailto:ops"),
    ("ALERTS_TO", "mailto:ops@example.com,chat"),
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


def test_mixed_up_keys_are_named_for_what_they_are():
    assert "STRIPE_TEST_SECRET_KEY is a live key" in refusal(STRIPE_TEST_SECRET_KEY="sk_live_1")
    assert "STRIPE_SECRET_KEY is a publishable key" in refusal(STRIPE_SECRET_KEY="pk_live_1")
    assert "STRIPE_PUBLISHABLE_KEY is a secret key" in refusal(STRIPE_PUBLISHABLE_KEY="sk_live_1")


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
        "METRICS_TOKEN": "secret-of-prometheus-0123",
        "ALERTS_TO": "https://chat.example.com/hooksecret",
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


def test_the_example_file_names_every_setting_with_its_default(monkeypatch):
    example = Path(__file__).parents[2] / ".env.example"
    monkeypatch.chdir(example.parent)  # where its relative paths start from
    assert list(dotenv_values(example)) == list(dict.fromkeys(dotenv_values(example)))
    assert set(dotenv_values(example)) == {str(names[0]) for names in FIELDS.values()}
    assert load({}, example) == load({}, None)
    text = example.read_text()
    assert all(str(alias) in text for names in FIELDS.values() for alias in names)
