"""Emails: queued in the transaction of the change that they report, and sent afterwards, each by one sender.

Without MAIL_URL, or with MAIL_URL=outbox, they are written as `.eml` files to INSTANCE_PATH/outbox.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import structlog
from flask import current_app, g
from flask_mailman import EmailMessage, EmailMultiAlternatives
from flask_mailman.backends.base import BaseEmailBackend
from jinja2 import TemplateError
from sqlalchemy import ColumnElement, delete, event, or_, select, update

from portal import clock, extensions, jobs, tokens
from portal.enums import Mode
from portal.extensions import db
from portal.models import Customer, OutboxMail, User
from portal.settings import Settings, current_settings

log = structlog.get_logger()

# Templates with a link, and the view that it opens. Its token's purpose has the template's name.
LINKS = {
    "verify": "proof.verify",
    "reset": "proof.reset",
    "claim": "proof.claim",
    "email_old": "email.approve",
    "email_new": "email.confirm",
}
BRAND = "Portal"
KIND = "mail"  # of job
SMTP_TIMEOUT_SECONDS = 10
# The first wait is longer than the slowest delivery, so that a mail being sent is never due.
FIRST_WAIT = timedelta(minutes=5)
LONGEST_WAIT = timedelta(hours=6)
MAX_ATTEMPTS = 12
TOGETHER = 1000  # keys per statement


@dataclass(frozen=True)
class Letter:
    """A claimed mail: everything that sending needs, read before the transaction ended."""

    id: int
    key: str
    template: str
    user: User | None  # None: the address belongs to no account
    to: str
    context: dict[str, Any]


def queue(user: User | None, template: str, key: str, *, to: str | None = None, **context: Any) -> None:
    """Queue a mail that is sent once this transaction commits, to another address than the user's if `to` is
    given.

    Without a user, `to` is someone who has no account. Repeating a key queues no second mail, and users who
    deleted their account get none. `context` is JSON (a time is ISO 8601, for the filter `day`) and stored in the
    database, so it must not contain secrets; links are created while sending.
    """
    if user is not None and user.deleted_at is not None:
        return
    row = {"user_id": user and user.id, "template": template, "key": key, "to": to, "context": context}
    statement = extensions.insert(OutboxMail).values(created_at=clock.now(), **row)
    queued = statement.on_conflict_do_nothing(index_elements=["key"]).returning(OutboxMail.id)
    mail_id = db.session.execute(queued).scalar_one_or_none()
    # Once committed, it is sent immediately instead of within the minute.
    event.listen(db.session(), "after_commit", lambda _session: jobs.do_soon(KIND, mail_id), once=True)


def tell(customer: Customer, template: str, key: str, **context: Any) -> None:
    """Do the same for a mail about a customer's orders and payments.

    In test mode it goes to ADMIN_EMAIL, with "[Test]" before its subject, because the customer never sees test
    mode.
    """
    if customer.mode == Mode.LIVE:
        queue(customer.user, template, key, **context)
    else:
        queue(customer.user, template, key, to=current_settings().admin_email, test=True, **context)


def tell_admins(template: str, key: str, mode: Mode, **context: Any) -> None:
    """Mail each admin about something that needs attention, also in test mode. Flushes."""
    admins = select(User).where(User.role == "admin", User.deleted_at.is_(None)).order_by(User.id)
    for admin in db.session.execute(admins).scalars():
        queue(admin, template, f"{key}:{admin.id}", test=mode == Mode.TEST, **context)


def unsaid(keys: Iterable[str]) -> list[str]:
    """Return the keys without a queued mail, for tasks that find the same things each minute."""
    asked = list(keys)
    said: set[str] = set()
    for start in range(0, len(asked), TOGETHER):  # PostgreSQL takes 65,535 parameters at most
        some = OutboxMail.key.in_(asked[start : start + TOGETHER])
        said.update(db.session.execute(select(OutboxMail.key).where(some)).scalars())
    return [key for key in asked if key not in said]


def withdraw(user: User, *templates: str) -> None:
    """Delete the user's unsent mails of these templates; all of them if none is named. Flushes."""
    waiting = delete(OutboxMail).where(OutboxMail.user_id == user.id, OutboxMail.sent_at.is_(None))
    db.session.execute(waiting.where(OutboxMail.template.in_(templates)) if templates else waiting)


def send_due(limit: int = 50) -> int:
    """Send up to `limit` due mails and return how many are left. Commits; safe to run concurrently.

    Each is claimed before it is sent, so two senders never send one mail. After a crash in between, it is sent
    again.
    """
    letters = (_claim(mail_id, attempts) for mail_id, attempts in _due(limit))
    return sum(_deliver(letter) for letter in letters if letter is not None)


def send_one(mail_id: int) -> bool:
    """Send one mail if it is due, and return whether it was sent. Commits."""
    query = select(OutboxMail.attempts).where(OutboxMail.id == mail_id, *_is_due(clock.now()))
    attempts = db.session.execute(query).scalar_one_or_none()
    db.session.commit()
    letter = None if attempts is None else _claim(mail_id, attempts)
    return letter is not None and _deliver(letter)


def external(endpoint: str, **values: Any) -> str:
    """Return the URL of a page for customers, built on BASE_URL, never on a request's Host header."""
    base = urlsplit(current_settings().base_url)
    urls = current_app.url_map.bind(base.netloc, script_name=base.path or "/", url_scheme=base.scheme)
    return urls.build(endpoint, values, force_external=True)


def masked(email: str) -> str:
    """Return an email address as logs may show it: `a…@example.com`."""
    name, _, domain = email.partition("@")
    return f"{name[:1]}…@{domain}"


def _is_due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    may_try = or_(OutboxMail.next_try_at.is_(None), OutboxMail.next_try_at <= now)
    return (OutboxMail.sent_at.is_(None), OutboxMail.attempts < MAX_ATTEMPTS, may_try)


def _due(limit: int) -> list[tuple[int, int]]:
    query = select(OutboxMail.id, OutboxMail.attempts).where(*_is_due(clock.now()))
    rows = db.session.execute(query.order_by(OutboxMail.id).limit(limit)).all()
    db.session.commit()
    return [(mail_id, attempts) for mail_id, attempts in rows]


def _claim(mail_id: int, attempts: int) -> Letter | None:
    """Claim a mail by postponing its next attempt, and commit. Returns None if another sender claimed it."""
    now = clock.now()
    statement = (
        update(OutboxMail)
        .where(OutboxMail.id == mail_id, OutboxMail.attempts == attempts, *_is_due(now))
        .values(attempts=attempts + 1, next_try_at=now + _wait(attempts))
        .returning(OutboxMail)
    )
    row = db.session.execute(statement, execution_options={"populate_existing": True}).scalar_one_or_none()
    db.session.commit()  # before a link's token is created: a transaction that changes tokens locks no mail
    letter = None if row is None else _letter(row)
    db.session.commit()
    return letter


def _letter(row: OutboxMail) -> Letter:
    to = row.to or (row.user.email if row.user else "")
    return Letter(row.id, row.key, row.template, row.user, to, row.context | _link(row))


def _wait(attempts: int) -> timedelta:
    return min(FIRST_WAIT * (1 << attempts), LONGEST_WAIT)


def _link(row: OutboxMail) -> dict[str, Any]:
    """Return `url` and `expires` for templates with a link. Its token is stored nowhere else in the clear."""
    endpoint = LINKS.get(row.template)
    if endpoint is None or row.user is None:
        return {}
    token = tokens.mint(row.user, row.template)
    expires = clock.now() + tokens.LIFETIMES[row.template]
    return {"url": external(endpoint, token=token), "expires": expires}


def send(letter: Letter) -> bool:
    """Send a mail and return whether that worked. Without the outbox: for news that the database is gone."""
    try:
        _compose(letter).send()
    except (OSError, TemplateError) as error:  # SMTP's own errors are OSErrors
        log.error("mail_failed", mail_id=letter.id, template=letter.template, error=type(error).__name__)
        return False
    return True


def _deliver(letter: Letter) -> bool:
    if not send(letter):
        return False
    statement = update(OutboxMail).where(OutboxMail.id == letter.id).values(sent_at=clock.now(), to=None)
    db.session.execute(statement)
    db.session.commit()
    _note(letter)
    return True


def _note(letter: Letter) -> None:
    facts: dict[str, Any] = {"mail_id": letter.id, "template": letter.template, "to": masked(letter.to)}
    settings = current_settings()
    if not settings.smtp_url:
        facts["file"] = str(_outbox_path(letter.key, settings))
        # Only a developer's own terminal may show a sign-in link.
        if not settings.is_production and "url" in letter.context:
            facts["link"] = letter.context["url"]
    log.info("mail_sent", **facts)


def _compose(letter: Letter) -> EmailMultiAlternatives:
    """Return a template's mail: the text's first line is `Subject: …`, and the HTML has the same content."""
    context = {"user": letter.user, "brand": BRAND, **letter.context}
    # Not render_template: its context processors need a request.
    environment = current_app.jinja_env
    g.zone = letter.user.timezone if letter.user else "UTC"  # for the dates of the recipient
    try:
        text = environment.get_template(f"mail/{letter.template}.txt").render(context)
        html = environment.get_template(f"mail/{letter.template}.html").render(context)
    finally:
        del g.zone
    subject, _, body = text.partition("\n")
    settings = current_settings()
    mark = "[Test] " if letter.context.get("test") else ""
    message = EmailMultiAlternatives(
        mark + subject.removeprefix("Subject:").strip(),
        body.lstrip("\n"),
        sender(settings),
        [letter.to],
        headers={"Message-ID": _message_id(letter.key, settings)},
        connection=_connection(letter.key, settings),
    )
    message.attach_alternative(html, "text/html")
    return message


def _message_id(key: str, settings: Settings) -> str:
    """Return the same id for every attempt, so that a mail sent twice after a crash is shown once."""
    name = hashlib.sha256(key.encode()).hexdigest()[:32]
    return f"<{name}@{urlsplit(settings.base_url).hostname}>"


def sender(settings: Settings) -> str:
    """Return the sender: `?from=` of MAIL_URL, else its user if that is an address, else no-reply@host."""
    parts = urlsplit(settings.smtp_url or "")
    chosen = parse_qs(parts.query).get("from", [""])[0] or unquote(parts.username or "")
    return chosen if "@" in chosen else f"no-reply@{urlsplit(settings.base_url).hostname}"


def _connection(key: str, settings: Settings) -> BaseEmailBackend:
    if not settings.smtp_url:
        return extensions.mail.get_connection(backend=OutboxFile, path=_outbox_path(key, settings))
    parts = urlsplit(settings.smtp_url)
    encrypted = parts.scheme == "smtps"
    return extensions.mail.get_connection(
        backend="smtp",
        host=parts.hostname,
        port=parts.port or (465 if encrypted else 587 if parts.username else 25),
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        use_ssl=encrypted,
        use_tls=not encrypted and bool(parts.username),  # a password is never sent in the clear
        timeout=SMTP_TIMEOUT_SECONDS,
    )


def _outbox_path(key: str, settings: Settings) -> Path:
    safe = "".join(character if character.isalnum() else "-" for character in key)[:60]
    name = f"{safe}-{hashlib.sha256(key.encode()).hexdigest()[:8]}.eml"
    return Path(settings.instance_path) / "outbox" / name


class OutboxFile(BaseEmailBackend):
    """A mail backend that writes each message to a file, readable only by the owner."""

    def __init__(self, path: Path, **options: Any) -> None:
        super().__init__(**options)
        self.path = path

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Write the messages and return how many."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for message in email_messages:
                file.write(message.message().as_bytes())
        return len(email_messages)
