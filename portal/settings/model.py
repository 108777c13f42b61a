"""Every setting of the portal: its type, its default, and the words for whoever gets it wrong."""

from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, BaseModel, ConfigDict

from portal.settings import values
from portal.settings.fields import (
    DEFAULT_SECRET,
    EXAMPLE_KEY,
    EXAMPLE_SECRET,
    STRIPE_API,
    STRIPE_DASHBOARD,
    api_base,
    database,
    derived_secret,
    pages,
    price_id,
    random_fernet_key,
    random_secret,
    setting,
)

Mode = Literal["live", "test"]
CATALOGUE = Path(__file__).parent.parent / "catalogue.toml"
PLANS = ("free", "starter", "pro", "enterprise", "beta")
METERS = ("cpu_hour", "gpu_hour", "storage_gb_month", "api_calls", "credit")


def is_live(key: str | None) -> bool:
    """Whether this is a key of Stripe's live mode."""
    return (key or "").startswith(("sk_live_", "rk_live_"))


class Settings(BaseModel):
    """All that the portal is told from outside, read once and checked. Made by `load`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=False)

    # No variable of its own: whether no Stripe key is set, so that the sandbox stands in for Stripe.
    uses_sandbox: bool = True

    environment: Literal["development", "production"] = setting(
        "development", "development or production", "production"
    )
    debug: bool = setting(False, "true or false", "false")
    host: values.Host = setting("127.0.0.1", "the address to listen on", "127.0.0.1")
    port: values.Port = setting(8000, "a port from 1 to 65535", "8000")
    sandbox_port: values.Port = setting(8001, "a port from 1 to 65535", "8001")
    instance_path: values.Folder = setting(lambda: Path("instance").resolve(), "a folder", "./instance")
    admin_email: values.Email = setting("admin@example.com", "a mail address", "ada@example.com")
    admin_password: str | None = setting(None, "a password", "correct-horse-battery", secret=True)
    demo_user_password: str | None = setting(None, "a password", "correct-horse-battery", secret=True)

    secret_key: str = setting(
        DEFAULT_SECRET,
        "32 random characters or more (openssl rand -hex 32)",
        EXAMPLE_SECRET,
        secret=True,
        in_production=random_secret,
    )
    jwt_secret_key: str = setting(
        derived_secret,
        "32 random characters or more (openssl rand -hex 32)",
        EXAMPLE_SECRET,
        secret=True,
        in_production=random_secret,
    )
    jwt_algorithm: Literal["HS256", "HS384", "HS512"] = setting("HS256", "HS256, HS384 or HS512", "HS256")
    access_token_expire_minutes: values.Count = setting(15, "a whole number of minutes, 1 or more", "15")
    refresh_token_expire_days: values.Count = setting(7, "a whole number of days, 1 or more", "7")
    encryption_key: values.FernetKeys = setting(
        (),
        "32 random bytes in urlsafe base64, or several such keys with commas between them",
        EXAMPLE_KEY,
        secret=True,
        in_production=random_fernet_key,
    )
    api_prefix: values.ApiPrefix = setting("/api/v1", "a path without a slash at its end", "/api/v1")

    database_url: values.Database = setting(
        database,
        "a PostgreSQL or SQLite address",
        "postgresql://portal:password@localhost:5432/portal",
        secret=True,
    )
    redis_url: values.RedisUrl | None = setting(
        None, "a redis:// or rediss:// address", "redis://localhost:6379/0", secret=True
    )
    base_url: values.Url = setting(
        lambda data: f"http://127.0.0.1:{data['port']}",
        "the http(s) address at which customers reach the portal",
        "https://billing.example.com",
    )
    frontend_url: values.Url = setting(
        lambda data: data["base_url"], "the http(s) address of a separate front end", "https://app.example.com"
    )
    trusted_proxies: values.CountOrZero = setting(0, "a whole number of proxies, 0 or more", "1")
    allowed_origins: values.Origins = setting((), "a JSON list of origins", '["https://app.example.com"]')

    stripe_secret_key: values.LiveLaneKey | None = setting(
        None,
        "a secret key of Stripe (sk_ or rk_)",
        "sk_test_51Nx",
        secret=True,
        in_production="sk_live_51Nx",
    )
    stripe_publishable_key: values.PublishableKey | None = setting(
        None,
        "a publishable key of Stripe (pk_)",
        "pk_live_51Nx",
        "NEXT_PUBLIC_STRIPE_PUBLISHABLE_KEY",
        secret=True,
    )
    stripe_webhook_secret: values.WebhookSecrets = setting(
        (),
        "a webhook endpoint's signing secret (whsec_), or several with commas between them",
        "whsec_5WbX",
        secret=True,
    )
    stripe_test_secret_key: values.TestLaneKey | None = setting(
        None, "a test-mode secret key of Stripe (sk_test_ or rk_test_)", "sk_test_51Nx", secret=True
    )
    stripe_test_publishable_key: values.TestPublishableKey | None = setting(
        None,
        "a test-mode publishable key of Stripe (pk_test_)",
        "pk_test_51Nx",
        "NEXT_PUBLIC_STRIPE_TEST_PUBLISHABLE_KEY",
        secret=True,
    )
    stripe_test_webhook_secret: values.WebhookSecrets = setting(
        (),
        "a webhook endpoint's signing secret (whsec_), or several with commas between them",
        "whsec_9QcT",
        secret=True,
    )
    stripe_test_product_id: values.ProductId | None = setting(
        None, "the id of a Stripe product", "prod_TestPlans1"
    )
    stripe_api_base: values.Url = setting(
        api_base,
        "the http(s) address of a Stripe-compatible API",
        "http://127.0.0.1:12111",
        in_production=STRIPE_API,
    )
    stripe_ca_bundle: values.File | None = setting(
        None, "the path of a PEM file with the certificates that sign STRIPE_API_BASE's", "./ca.pem"
    )
    checkout_origins: values.ListedOrigins = setting(
        pages, "origins with commas between them", "https://checkout.stripe.com,https://billing.stripe.com"
    )

    stripe_price_map: values.PriceMap = setting(
        dict,
        "price ids and tiers",
        "price_1SGaX7Lc:pro;price_1SGaX8Lc:enterprise",
        "OSCILLINK_STRIPE_PRICE_MAP",
    )
    stripe_price_free_monthly: values.PriceId | None = price_id(" monthly")
    stripe_price_free_yearly: values.PriceId | None = price_id(" yearly")
    stripe_price_starter_monthly: values.PriceId | None = price_id(" monthly")
    stripe_price_starter_yearly: values.PriceId | None = price_id(" yearly")
    stripe_price_pro_monthly: values.PriceId | None = price_id(" monthly")
    stripe_price_pro_yearly: values.PriceId | None = price_id(" yearly")
    stripe_price_enterprise_monthly: values.PriceId | None = price_id(" monthly")
    stripe_price_enterprise_yearly: values.PriceId | None = price_id(" yearly")
    stripe_price_beta_monthly: values.PriceId | None = price_id(" monthly")
    stripe_price_beta_yearly: values.PriceId | None = price_id(" yearly")
    stripe_price_id_cpu_hour: values.PriceId | None = price_id()
    stripe_price_id_gpu_hour: values.PriceId | None = price_id()
    stripe_price_id_storage_gb_month: values.PriceId | None = price_id()
    stripe_price_id_api_calls: values.PriceId | None = price_id()
    stripe_price_id_credit: values.PriceId | None = price_id()
    stripe_allowed_price_ids: values.PriceList | None = setting(
        None, "price ids with commas between them", "price_1SGaX7Lc,price_1SGaX8Lc"
    )
    allow_unverified_stripe: bool = setting(False, "0 or 1", "0", "OSCILLINK_ALLOW_UNVERIFIED_STRIPE")

    admin_path: values.AdminPath = setting(
        "/admin", "a slash and one word that is no address of the portal's own", "/admin47392"
    )
    usage_self_report: bool = setting(True, "0 or 1", "0")
    clusters: values.Words = setting((), "names with commas between them", "eu-1,us-1")
    grace_days: values.CountOrZero = setting(7, "a whole number of days, 0 or more", "7")
    checkout_promotion_codes: bool = setting(True, "true or false", "true")
    checkout_tax_ids: bool = setting(False, "true or false", "true")
    checkout_address: bool = setting(False, "true or false", "true")
    automatic_tax: bool = setting(False, "true or false", "true")
    catalogue: values.File = setting(CATALOGUE, "the path of a catalogue file", "./catalogue.toml")
    sample_catalogue: Literal["accept"] | None = setting(None, "accept", "accept")
    mail_url: values.MailUrl | None = setting(
        None,
        "an smtp:// or smtps:// address, or outbox for files in INSTANCE_PATH/outbox",
        "smtp://user:password@mail.example.com:587",
        secret=True,
    )
    sentry_dsn: values.SentryDsn | None = setting(
        None, "a Sentry project's address", "https://key@sentry.example.com/1", secret=True
    )

    @property
    def is_production(self) -> bool:
        """Whether real customers may come: nothing is printed, generated or left open then."""
        return self.environment == "production"

    @property
    def is_at_stripe(self) -> bool:
        """Whether calls go to Stripe itself, and not to the sandbox or another that stands in."""
        return self.stripe_api_base == STRIPE_API

    @property
    def takes_real_money(self) -> bool:
        """Whether the live lane charges real cards: a live key alone makes it so, whatever ENVIRONMENT says.

        Over plain http only the sandbox, or another server that stands in for Stripe, answers.
        """
        return is_live(self.stripe_secret_key) and self.stripe_api_base.startswith("https://")

    @property
    def names_prices(self) -> bool:
        """Whether any price id is given, so that what is sold is the operator's own."""
        return bool(self.price_ids or self.price_map or self.allowed_price_ids)

    @property
    def smtp_url(self) -> str | None:
        """Where mails are sent by; None where they are written to INSTANCE_PATH/outbox."""
        return None if self.mail_url == values.OUTBOX else self.mail_url

    @property
    def dashboard(self) -> str:
        """Where people look at Stripe's objects; the sandbox shows its own."""
        return STRIPE_DASHBOARD if self.is_at_stripe else f"{self.checkout_origins[0]}/dashboard"

    @property
    def access_lifetime(self) -> timedelta:
        """How long an access token is good for."""
        return timedelta(minutes=self.access_token_expire_minutes)

    @property
    def refresh_lifetime(self) -> timedelta:
        """How long a refresh token is good for."""
        return timedelta(days=self.refresh_token_expire_days)

    @property
    def price_map(self) -> dict[str, str]:
        """Stripe price ids to tiers (seed 1)."""
        return self.stripe_price_map

    @property
    def allowed_price_ids(self) -> frozenset[str] | None:
        """The only prices that checkout takes (seed 4); None: whatever the catalogue and the price map have."""
        return self.stripe_allowed_price_ids

    @property
    def price_ids(self) -> dict[str, str]:
        """Catalogue keys (`pro-monthly`, `cpu_hour`, `credit`) to the live price ids that were given."""
        names = {f"{plan}-{cycle}": f"{plan}_{cycle}" for plan in PLANS for cycle in ("monthly", "yearly")}
        names |= {meter: f"id_{meter}" for meter in METERS}
        found = {key: getattr(self, f"stripe_price_{name}") for key, name in names.items()}
        return {key: price for key, price in found.items() if price}

    def webhook_secrets(self, mode: str) -> tuple[str, ...]:
        """The signing secrets of a mode's endpoint; empty where none is set."""
        return self.stripe_webhook_secret if mode == "live" else self.stripe_test_webhook_secret

    def secret_key_for(self, mode: str) -> str | None:
        """The Stripe key of a mode's lane; None where none is set."""
        return self.stripe_secret_key if mode == "live" else self.stripe_test_secret_key


def names_of(field: str) -> AliasChoices:
    """The variables that a field is read from, its own name first."""
    extra = Settings.model_fields[field].json_schema_extra
    aliases = extra.get("aliases", []) if isinstance(extra, dict) else []
    assert isinstance(aliases, list)
    return AliasChoices(field.upper(), *(str(alias) for alias in aliases))
