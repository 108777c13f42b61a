"""The formats of settings: each parser returns the value, or raises a ValueError that explains the error.

No error repeats the text: it may be or contain a secret.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

FERNET_BYTES = 32
OUTBOX = "outbox"
POSTGRES = re.compile(r"postgres(ql)?(\+psycopg)?://")
# First segments of the portal's own URLs, which the admin pages cannot use.
TAKEN = frozenset(
    [
        "account",
        "api",
        "billing",
        "credits",
        "healthz",
        "history",
        "keys",
        "login",
        "mail-sent",
        "logout",
        "metrics",
        "password",
        "pricing",
        "readyz",
        "signup",
        "static",
        "stripe",
        "usage",
        "v1",
        "verify",
        "claim",
    ]
)


def split(text: str, separator: str = ",") -> tuple[str, ...]:
    """Return the words between the separators, without surrounding spaces and empty words."""
    return tuple(word.strip() for word in text.split(separator) if word.strip())


def matches(pattern: str) -> AfterValidator:
    """Return a validator for words that match."""
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError("does not have the right form")
        return text

    return AfterValidator(check)


def _split_url(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises if it is not a number
    except ValueError:  # its message repeats part of the URL, which may be part of a password
        raise ValueError("is not an address") from None
    if re.search(r"\s", text):
        raise ValueError("holds a space")
    return parts


def url(text: str) -> str:
    """Return an http(s) URL without a trailing slash, because paths are appended to it."""
    parts = _split_url(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is not a web address")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("holds more than scheme, host, port and path")
    return text.rstrip("/")


def origin(text: str) -> str:
    """Return scheme, host and port as a browser sends them."""
    if urlsplit(url(text)).path:
        raise ValueError("holds a path")
    return url(text).lower()


def origins(text: str) -> tuple[str, ...]:
    """Return a JSON list of origins."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        raise ValueError("is not JSON") from None
    if not isinstance(found, list) or not all(isinstance(entry, str) for entry in found):
        raise ValueError("is not a JSON list of texts")
    return tuple(origin(entry) for entry in found)


def listed_origins(text: str) -> tuple[str, ...]:
    """Return origins from a JSON list, or separated by commas."""
    return origins(text) if text.startswith("[") else tuple(origin(word) for word in split(text))


def database(text: str, info: ValidationInfo) -> str:
    """Return SQLAlchemy's URL of a database; PostgreSQL's gets its driver.

    A relative path of SQLite is in the instance's folder, so that it is the same wherever a command runs.
    """
    if match := re.fullmatch(r"sqlite:///([^/:?].*)", text):
        return f"sqlite:///{info.data.get('instance_path', folder('instance')) / match[1]}"
    if re.match(r"sqlite:////.", text):
        return text
    if not POSTGRES.match(text):
        raise ValueError("names no database that the portal knows")
    _split_url(text)
    return POSTGRES.sub("postgresql+psycopg://", text, count=1)


def with_scheme(*schemes: str) -> AfterValidator:
    """Return a validator for URLs with one of these schemes and a host, optionally with user and password."""
    return AfterValidator(_with_scheme(*schemes))


def _with_scheme(*schemes: str) -> Callable[[str], str]:

    def check(text: str) -> str:
        parts = _split_url(text)
        if parts.scheme not in schemes or not parts.hostname:
            raise ValueError("is not an address of this kind")
        return text

    return check


def mail_url(text: str) -> str:
    """Return a mail server's URL, or the word that writes mails to files."""
    return text if text == OUTBOX else _with_scheme("smtp", "smtps")(text)


def alerts_to(text: str) -> tuple[str, ...]:
    """Return where alerts go: mailto: and https: addresses."""
    found = split(text)
    for one in found:
        if not re.fullmatch(r"mailto:[^\s@?]+@[^\s@?]+\.[^\s@?]+", one):
            _with_scheme("https")(one)
    return found


def price_map(text: str) -> dict[str, str]:
    """Return `price_id:tier;price_id:tier` as a dict."""
    found: dict[str, str] = {}
    for entry in split(text, ";"):
        match = re.fullmatch(r"(price_[^\s:;,]+)\s*:\s*([A-Za-z0-9][\w-]*)", entry)
        if not match:
            raise ValueError("holds an entry that is no price id, colon and tier")
        price, tier = match.groups()
        if found.setdefault(price, tier.lower()) != tier.lower():
            raise ValueError("gives one price two tiers")
    return found


def price_list(text: str) -> frozenset[str]:
    """Return Stripe price ids separated by commas."""
    found = frozenset(split(text))
    if not found or not all(re.fullmatch(r"price_[^\s:;,]+", price) for price in found):
        raise ValueError("holds an entry that is no price id")
    return found


def webhook_secrets(text: str) -> tuple[str, ...]:
    """Return one endpoint secret, or several during a rotation."""
    found = split(text)
    if not found or not all(re.fullmatch(r"whsec_\S+", secret) for secret in found):
        raise ValueError("is no webhook secret")
    return found


def fernet_keys(text: str) -> tuple[str, ...]:
    """Return Fernet keys, newest first: new values are encrypted with that one."""
    found = split(text)
    for key in found:
        try:
            size = len(base64.b64decode(key.encode(), altchars=b"-_", validate=True))
        except (binascii.Error, UnicodeEncodeError) as error:
            raise ValueError("is not urlsafe base64") from error
        if size != FERNET_BYTES:
            raise ValueError(f"is not {FERNET_BYTES} bytes long")
    return found


def secret_key(modes: str) -> AfterValidator:
    """Return a validator for secret or restricted Stripe keys in one of these modes: "live|test" or "test"."""

    def check(text: str) -> str:
        if text.startswith("pk_"):
            raise ValueError("is a publishable key")
        if text.startswith("whsec_"):
            raise ValueError("is a webhook secret")
        if modes == "test" and re.match(r"[sr]k_live_", text):
            raise ValueError("is a live key")
        if not re.fullmatch(rf"[sr]k_({modes})_\S+", text):
            raise ValueError("is no secret key")
        return text

    return AfterValidator(check)


def publishable_key(modes: str) -> AfterValidator:
    """Return a validator for publishable Stripe keys in one of these modes. A secret key would be shown to
    browsers.
    """

    def check(text: str) -> str:
        if re.match(r"[sr]k_", text):
            raise ValueError("is a secret key")
        if not re.fullmatch(rf"pk_({modes})_\S+", text):
            raise ValueError("is no publishable key of this mode")
        return text

    return AfterValidator(check)


def admin_path(text: str) -> str:
    """Return one segment of a URL that is not one of the portal's own."""
    if not re.fullmatch(r"/[A-Za-z0-9][A-Za-z0-9_-]*", text):
        raise ValueError("is not one segment of an address")
    if text[1:].lower() in TAKEN:
        raise ValueError("is an address of the portal's own")
    return text


def folder(text: str) -> Path:
    """Return a folder as an absolute path, so that it is the same wherever a command runs."""
    return Path(text).expanduser().resolve()


def file(text: str) -> Path:
    """Return an existing file."""
    path = folder(text)
    if not path.is_file():
        raise ValueError("names no file")
    return path


def _from_text(parse: Callable[[str], Any]) -> BeforeValidator:
    """Skip parsing for values that are not text, such as those of a test."""
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


Host = Annotated[str, matches(r"[^\s/@]+")]
Port = Annotated[int, Field(ge=1, le=65535)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
CountOrZero = Annotated[int, Field(ge=0, le=1_000_000)]
Url = Annotated[str, AfterValidator(url)]
Origins = Annotated[tuple[str, ...], _from_text(origins)]
ListedOrigins = Annotated[tuple[str, ...], _from_text(listed_origins)]
Database = Annotated[str, AfterValidator(database)]
RedisUrl = Annotated[str, with_scheme("redis", "rediss")]
MailUrl = Annotated[str, AfterValidator(mail_url)]
Token = Annotated[str, matches(r"[A-Za-z0-9_-]{20,}")]
AlertsTo = Annotated[tuple[str, ...], _from_text(alerts_to)]
SentryDsn = Annotated[str, matches(r"https?://[^\s@/]+@[^\s@/]+/\S+")]
Email = Annotated[str, matches(r"[^\s@]+@[^\s@]+\.[^\s@]+")]
Words = Annotated[tuple[str, ...], _from_text(split)]
PriceId = Annotated[str, matches(r"price_[^\s:;,]+")]
ProductId = Annotated[str, matches(r"prod_[^\s:;,]+")]
PriceMap = Annotated[dict[str, str], _from_text(price_map)]
PriceList = Annotated[frozenset[str], _from_text(price_list)]
WebhookSecrets = Annotated[tuple[str, ...], _from_text(webhook_secrets)]
FernetKeys = Annotated[tuple[str, ...], _from_text(fernet_keys)]
LiveLaneKey = Annotated[str, secret_key("live|test")]
TestLaneKey = Annotated[str, secret_key("test")]
PublishableKey = Annotated[str, publishable_key("live|test")]
TestPublishableKey = Annotated[str, publishable_key("test")]
ApiPrefix = Annotated[str, matches(r"(/[a-z0-9][a-z0-9_-]*)+")]
AdminPath = Annotated[str, AfterValidator(admin_path)]
Folder = Annotated[Path, _from_text(folder)]
File = Annotated[Path, _from_text(file)]
