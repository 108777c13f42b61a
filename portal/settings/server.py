"""Settings of the server: where it runs, its secrets, its database."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from portal.settings import values
from portal.settings.fields import (
    DEFAULT_SECRET,
    EXAMPLE_KEY,
    EXAMPLE_SECRET,
    database,
    derived_secret,
    random_fernet_key,
    random_secret,
    setting,
)


class Server(BaseModel):
    """The settings of the server."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=False)

    # It has no variable: it is true if no Stripe key is set, so that the sandbox replaces Stripe.
    uses_sandbox: bool = True

    environment: Literal["development", "production"] = setting(
        "`production` for real customers: it refuses unsafe settings, and generates and prints no secrets.",
        "development",
        "development or production",
        "production",
    )
    debug: bool = setting("Flask's debug mode. Refused in production.", False, "true or false", "false")
    host: values.Host = setting(
        "The address that the portal listens on.", "127.0.0.1", "the address to listen on", "127.0.0.1"
    )
    port: values.Port = setting("The port that the portal listens on.", 8000, "a port from 1 to 65535", "8000")
    sandbox_port: values.Port = setting(
        "The port that the sandbox listens on.", 8001, "a port from 1 to 65535", "8001"
    )
    instance_path: values.Folder = setting(
        (
            "The folder of the SQLite database, the sandbox's state, generated secrets and the mail outbox. "
            "Default: `./instance`."
        ),
        lambda: Path("instance").resolve(),
        "a folder",
        "./instance",
    )
    admin_email: values.Email = setting(
        "The admin account that the first start creates.", "admin@example.com", "a mail address", "ada@example.com"
    )
    admin_password: str | None = setting(
        (
            "That admin's password. Not set: development generates one and shows it once; production creates no "
            "admin."
        ),
        None,
        "a password",
        "correct-horse-battery",
        secret=True,
    )
    demo_user_password: str | None = setting(
        "The password of demo@example.com, which only development creates. Not set: generated and shown once.",
        None,
        "a password",
        "correct-horse-battery",
        secret=True,
    )
    secret_key: str = setting(
        "Signs sessions and mailed links. Development generates it into `INSTANCE_PATH/sandbox.env`.",
        DEFAULT_SECRET,
        "32 random characters or more (openssl rand -hex 32)",
        EXAMPLE_SECRET,
        secret=True,
        in_production=random_secret,
    )
    jwt_secret_key: str = setting(
        "Signs access tokens. Not set: derived from `SECRET_KEY`.",
        derived_secret,
        "32 random characters or more (openssl rand -hex 32)",
        EXAMPLE_SECRET,
        secret=True,
        in_production=random_secret,
    )
    jwt_algorithm: Literal["HS256", "HS384", "HS512"] = setting(
        "The algorithm that signs access tokens.", "HS256", "HS256, HS384 or HS512", "HS256"
    )
    access_token_expire_minutes: values.Count = setting(
        "How long an access token is valid, in minutes.", 15, "a whole number of minutes, 1 or more", "15"
    )
    refresh_token_expire_days: values.Count = setting(
        "How long a refresh token is valid, in days, counted from its last use.",
        7,
        "a whole number of days, 1 or more",
        "7",
    )
    encryption_key: values.FernetKeys = setting(
        (
            "Encrypts the secrets of authenticator apps. To rotate, put the new key first: each secret moves to "
            "it at its next use. Not set: derived from `SECRET_KEY`."
        ),
        (),
        "32 random bytes in urlsafe base64, or several such keys with commas between them",
        EXAMPLE_KEY,
        secret=True,
        in_production=random_fernet_key,
    )
    api_prefix: values.ApiPrefix = setting(
        "The path of the versioned JSON API.", "/api/v1", "a path without a slash at its end", "/api/v1"
    )
    database_url: values.Database = setting(
        (
            "The database. Not set: SQLite in `INSTANCE_PATH`, as is a relative path such as "
            "`sqlite:///portal.db`; an absolute one has four slashes."
        ),
        database,
        "a PostgreSQL or SQLite address",
        "postgresql://portal:password@localhost:5432/portal",
        secret=True,
    )
    redis_url: values.RedisUrl | None = setting(
        (
            "Shares rate limits and cached entitlements between processes and machines. While Redis is down, each "
            "process counts separately and reads the database. Not set: each process has its own."
        ),
        None,
        "a redis:// or rediss:// address",
        "redis://localhost:6379/0",
        secret=True,
    )
    jobs: Literal["inline", "celery"] = setting(
        (
            "`celery` hands webhooks, mails and bills to workers, which need `REDIS_URL` and "
            "`requirements-workers.txt`. `inline`: the portal handles them itself."
        ),
        "inline",
        "inline or celery",
        "inline",
    )
    base_url: values.Url = setting(
        (
            "The URL at which customers reach the portal. Every URL in redirects, mails and webhooks begins with "
            "it. Not set: `http://127.0.0.1:PORT`."
        ),
        lambda data: f"http://127.0.0.1:{data['port']}",
        "the http(s) address at which customers reach the portal",
        "https://billing.example.com",
    )
    frontend_url: values.Url = setting(
        (
            "The URL that checkouts created with the JSON API return to; https in production, except on this "
            "machine. Not set: `BASE_URL`."
        ),
        lambda data: data["base_url"],
        "the http(s) address of a separate front end",
        "https://app.example.com",
    )
    trusted_proxies: values.CountOrZero = setting(
        "How many proxies in front of the portal may name the client's address, scheme and host.",
        0,
        "a whole number of proxies, 0 or more",
        "1",
    )
    allowed_origins: values.Origins = setting(
        "The origins that may call the JSON API from a browser.",
        (),
        "a JSON list of origins",
        '["https://app.example.com"]',
    )
