"""Every setting of the portal: description, type, default, and the message for an invalid value."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices

from portal.enums import Mode
from portal.settings import values
from portal.settings.fields import EXAMPLE_SECRET, STRIPE_API, STRIPE_DASHBOARD, random_secret, setting
from portal.settings.stripe import Stripe

CATALOGUE = Path(__file__).parent.parent / "catalogue.toml"
# The portal's own parameter of DATABASE_URL: libpq knows none of this name.
PGBOUNCER = re.compile(r"([?&])pgbouncer=true(?:(&)|$)")
COMPUTED = ("uses_sandbox", "price_ids", "unknown_prices")  # fields without a variable of their own


def is_live(key: str | None) -> bool:
    """Return whether this is a Stripe live mode key."""
    return (key or "").startswith(("sk_live_", "rk_live_"))


class Settings(Stripe):
    """The settings of the catalogue, access, administration and mail."""

    # Live price ids from STRIPE_PRICE_… settings, by catalogue key; and settings that match nothing in it.
    price_ids: dict[str, str] = {}
    unknown_prices: tuple[str, ...] = ()

    stripe_price_map: values.PriceMap = setting(
        "Stripe prices and their tiers. Payment Links prefer these prices.",
        dict,
        "price ids and tiers",
        "price_1SGaX7Lc:pro;price_1SGaX8Lc:enterprise",
        "OSCILLINK_STRIPE_PRICE_MAP",
    )
    stripe_allowed_price_ids: values.PriceList | None = setting(
        "The only prices that are shown and sold. Not set: those of the catalogue and of the price map.",
        None,
        "price ids with commas between them",
        "price_1SGaX7Lc,price_1SGaX8Lc",
    )
    admin_path: values.AdminPath = setting(
        "The path of the admin pages. Users without a staff role get a 404 there.",
        "/admin",
        "a slash and one word that is no address of the portal's own",
        "/admin47392",
    )
    usage_self_report: bool = setting(
        "`0`: customers' API keys cannot report usage, only operator keys can.", True, "0 or 1", "0"
    )
    clusters: values.Words = setting(
        "Names of clusters that metered customers are assigned to, least loaded first.",
        (),
        "names with commas between them",
        "eu-1,us-1",
    )
    grace_days: values.CountOrZero = setting(
        "How many days a `past_due` subscription keeps its access.", 7, "a whole number of days, 0 or more", "7"
    )
    event_retention_days: values.Count = setting(
        (
            "How many days the payloads of handled events and the contents of sent emails are kept. The events "
            "and emails themselves stay, and so do the payloads of failed and parked events."
        ),
        90,
        "a whole number of days, 1 or more",
        "90",
    )
    checkout_promotion_codes: bool = setting(
        "Whether Checkout takes Stripe's promotion codes for plans.", True, "true or false", "true"
    )
    checkout_tax_ids: bool = setting(
        "Whether Checkout asks businesses for their tax ID.", False, "true or false", "true"
    )
    checkout_address: bool = setting(
        "Whether Checkout asks for a billing address.", False, "true or false", "true"
    )
    automatic_tax: bool = setting(
        "Whether Stripe Tax calculates taxes. Set it up in the Dashboard first.", False, "true or false", "true"
    )
    invoices_for_orders: bool = setting(
        (
            "`1` creates an invoice at Stripe for each paid order of credits or of a plan that is paid once. "
            "Stripe may charge for invoices."
        ),
        False,
        "0 or 1",
        "1",
    )
    catalogue: values.File = setting(
        "The catalogue file: plans, packages and meters. The default is a sample.",
        CATALOGUE,
        "the path of a catalogue file",
        "./catalogue.toml",
    )
    sample_catalogue: Literal["accept"] | None = setting(
        "`accept` sells the sample catalogue with a live key, as it is.", None, "accept", "accept"
    )
    mail_url: values.MailUrl | None = setting(
        (
            "The mail server: `smtp://` (with STARTTLS where it has a user) or `smtps://`, with `?from=` for the "
            "sender. `outbox`, or not set in development: mails are files in `INSTANCE_PATH/outbox`."
        ),
        None,
        "an smtp:// or smtps:// address, or outbox for files in INSTANCE_PATH/outbox",
        "smtp://user:password@mail.example.com:587",
        secret=True,
    )
    sentry_dsn: values.SentryDsn | None = setting(
        "The Sentry project that logged errors are reported to, without messages and personal data.",
        None,
        "a Sentry project's address",
        "https://key@sentry.example.com/1",
        secret=True,
    )

    metrics_token: values.Token | None = setting(
        (
            "What Prometheus sends as `Authorization: Bearer` to read `/metrics`. Not set: production refuses "
            "`/metrics`, and development answers this machine."
        ),
        None,
        "20 or more letters, digits, dashes and underscores (openssl rand -hex 32)",
        EXAMPLE_SECRET,
        secret=True,
        in_production=random_secret,
    )
    alerts_to: values.AlertsTo = setting(
        (
            "Where the scheduled tasks send critical and warning alerts: addresses (`mailto:`) and chat webhooks "
            "(`https://`) that take a JSON with `text`."
        ),
        (),
        "mailto: and https: addresses with commas between them",
        "mailto:ops@example.com,https://chat.example.com/hooks/1",
        secret=True,
    )

    @property
    def is_production(self) -> bool:
        """Return whether real customers may use it: then nothing is printed, generated or unprotected."""
        return self.environment == "production"

    @property
    def is_at_stripe(self) -> bool:
        """Return whether calls go to Stripe itself, and not to the sandbox or another substitute."""
        return self.stripe_api_base == STRIPE_API

    @property
    def is_behind_pgbouncer(self) -> bool:
        """Return whether the database is reached through PgBouncer, which pools transactions."""
        return PGBOUNCER.search(self.database_url) is not None

    @property
    def sqlalchemy_url(self) -> str:
        """Return DATABASE_URL without what only the portal understands."""
        return PGBOUNCER.sub(lambda found: found[1] if found[2] else "", self.database_url)

    @property
    def web_processes(self) -> int:
        """Return gunicorn's processes: several only if REDIS_URL lets them share their rate limits."""
        return 2 if self.redis_url else 1

    @property
    def web_threads(self) -> int:
        """Return the threads of each of them, because a request may wait for Stripe."""
        return 8 if self.redis_url else 16

    @property
    def takes_real_money(self) -> bool:
        """Return whether the live lane charges real cards: a live key does, whatever ENVIRONMENT says.

        An API base with plain http is only the sandbox, or another substitute for Stripe.
        """
        return is_live(self.stripe_secret_key) and self.stripe_api_base.startswith("https://")

    @property
    def names_prices(self) -> bool:
        """Return whether any price id is set, so that the operator's own prices are sold."""
        return bool(self.price_ids or self.price_map or self.allowed_price_ids)

    @property
    def smtp_url(self) -> str | None:
        """Return the SMTP server's URL; None if mails are written to INSTANCE_PATH/outbox."""
        return None if self.mail_url == values.OUTBOX else self.mail_url

    @property
    def dashboard(self) -> str:
        """Return the URL of the Stripe Dashboard; the sandbox has its own."""
        return STRIPE_DASHBOARD if self.is_at_stripe else f"{self.checkout_origins[0]}/dashboard"

    @property
    def access_lifetime(self) -> timedelta:
        """Return how long an access token is valid."""
        return timedelta(minutes=self.access_token_expire_minutes)

    @property
    def refresh_lifetime(self) -> timedelta:
        """Return how long a refresh token is valid."""
        return timedelta(days=self.refresh_token_expire_days)

    @property
    def price_map(self) -> dict[str, str]:
        """Return Stripe price ids with their tiers."""
        return self.stripe_price_map

    @property
    def allowed_price_ids(self) -> frozenset[str] | None:
        """Return the only prices that checkout accepts; None: those of the catalogue and the price map."""
        return self.stripe_allowed_price_ids

    def webhook_secrets(self, mode: Mode) -> tuple[str, ...]:
        """Return the signing secrets of a mode's endpoint; empty if none is set."""
        return self.stripe_webhook_secret if mode == Mode.LIVE else self.stripe_test_webhook_secret

    def secret_key_for(self, mode: Mode) -> str | None:
        """Return the Stripe key of a mode's lane; None if none is set."""
        return self.stripe_secret_key if mode == Mode.LIVE else self.stripe_test_secret_key


def names_of(field: str) -> AliasChoices:
    """Return the variables that a field is read from, its own name first."""
    extra = Settings.model_fields[field].json_schema_extra
    aliases = extra.get("aliases", []) if isinstance(extra, dict) else []
    assert isinstance(aliases, list)
    return AliasChoices(field.upper(), *(str(alias) for alias in aliases))
