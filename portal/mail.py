"""The mail's door: queued in the transaction of what is reported, sent afterwards, by one sender at a time.

Without MAIL_URL, or with MAIL_URL=outbox, mails become `.eml` files in INSTANCE_PATH/outbox.
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
from portal.extensions import db
from portal.models import Customer, OutboxMail, User
from portal.settings import Settings, current_settings

log = structlog.get_logger()

# Templates that carry a link, and where it leads; its token's purpose has the template's name.
LINKS = {
    "verify": "proof.verify",
    "reset": "proof.reset",
    "claim": "proof.claim",
    "email_old": "email.approve",
    "email_new": "email.confirm",
}
BRAND = "Portal"
SMTP_TIMEOUT_SECONDS = 10
# The first wait outlasts the slowest delivery, so that a mail being sent is never due.
FIRST_WAIT = timedelta(minutes=5)
LONGEST_WAIT = timedelta(hours=6)
MAX_ATTEMPTS = 12
TOGETHER = 1000  # keys that are asked for in one statement


@dataclass(frozen=True)
class Letter:
    """A claimed mail: everything that sending needs, read before the transaction ended."""

    id: int
    key: str
    template: str
    user: User | None  # None: the address belongs to nobody's account
    to: str
    context: dict[str, Any]


def queue(user: User | None, template: str, key: str, *, to: str | None = None, **context: Any) -> None:
    """Have a mail sent once this transaction commits, to another address than the user's where one is given.

    Without a user, `to` is somebody who has no account.

    The same key again is no second mail, and who has deleted their account gets none.

    `context` is JSON (a time is ISO 8601, for the filter `day`) and stands in the database: no secret belongs in
    it; links are made while sending.
    """
    if user is not None and user.deleted_at is not None:
        return
    row = {"user_id": user and user.id, "template": template, "key": key, "to": to, "context": context}
    statement = extensions.insert(OutboxMail).values(created_at=clock.now(), **row)
    db.session.execute(statement.on_conflict_do_nothing(index_elements=["key"]))
    # Once it is committed it goes out at once, rather than within the minute.
    event.listen(db.session(), "after_commit", lambda _session: jobs.ring(), once=True)


def tell(customer: Customer, template: str, key: str, **context: Any) -> None:
    """The same about what a customer buys or owes. What happens in test mode is no news to the customer, who
    never sees it: it goes to ADMIN_EMAIL, with "[Test]" before its subject."""
    if customer.mode == "live":
        queue(customer.user, template, key, **context)
    else:
        queue(customer.user, template, key, to=current_settings().admin_email, test=True, **context)


def tell_admins(template: str, key: str, mode: str, **context: Any) -> None:
    """Tell each admin of something that somebody has to see to, be it in test mode. Flushes."""
    admins = select(User).where(User.role == "admin", User.deleted_at.is_(None)).order_by(User.id)
    for admin in db.session.execute(admins).scalars():
        queue(admin, template, f"{key}:{admin.id}", test=mode == "test", **context)


def unsaid(keys: Iterable[str]) -> list[str]:
    """Those of these keys that no mail was queued under yet, for chores that find the same things each minute."""
    asked = list(keys)
    said: set[str] = set()
    for start in range(0, len(asked), TOGETHER):  # PostgreSQL takes 65,535 parameters at most
        some = OutboxMail.key.in_(asked[start : start + TOGETHER])
        said.update(db.session.execute(select(OutboxMail.key).where(some)).scalars())
    return [key for key in asked if key not in said]


def withdraw(user: User, *templates: str) -> None:
    """Leave unsent what of these mails still waits; all of them where none is named. Flushes."""
    waiting = delete(OutboxMail).where(OutboxMail.user_id == user.id, OutboxMail.sent_at.is_(None))
    db.session.execute(waiting.where(OutboxMail.template.in_(templates)) if templates else waiting)


def send_due(limit: int = 50) -> int:
    """Send up to `limit` mails that are due and return how many left. Commits; safe beside itself.

    Each is claimed before it is sent, so two senders never send one mail. A crash in between sends it again.
    """
    letters = (_claim(mail_id, attempts) for mail_id, attempts in _due(limit))
    return sum(_deliver(letter) for letter in letters if letter is not None)


def external(endpoint: str, **values: Any) -> str:
    """The URL of a page as customers reach it: built on BASE_URL, never on a request's Host header."""
    base = urlsplit(current_settings().base_url)
    urls = current_app.url_map.bind(base.netloc, script_name=base.path or "/", url_scheme=base.scheme)
    return urls.build(endpoint, values, force_external=True)


def masked(email: str) -> str:
    """A mail address as logs may show it: `a…@example.com`."""
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
    """Push the next try ahead and commit: whoever's UPDATE finds the row sends it. None: another did."""
    now = clock.now()
    statement = (
        update(OutboxMail)
        .where(OutboxMail.id == mail_id, OutboxMail.attempts == attempts, *_is_due(now))
        .values(attempts=attempts + 1, next_try_at=now + _wait(attempts))
        .returning(OutboxMail)
    )
    row = db.session.execute(statement, execution_options={"populate_existing": True}).scalar_one_or_none()
    db.session.commit()  # before a link's token is made: a transaction that changes tokens holds no mail
    letter = None if row is None else _letter(row)
    db.session.commit()
    return letter


def _letter(row: OutboxMail) -> Letter:
    to = row.to or (row.user.email if row.user else "")
    return Letter(row.id, row.key, row.template, row.user, to, row.context | _link(row))


def _wait(attempts: int) -> timedelta:
    return min(FIRST_WAIT * (1 << attempts), LONGEST_WAIT)


def _link(row: OutboxMail) -> dict[str, Any]:
    """`url` and `expires` for the templates that carry a link; its token is nowhere else in the clear."""
    endpoint = LINKS.get(row.template)
    if endpoint is None or row.user is None:
        return {}
    token = tokens.mint(row.user, row.template)
    expires = clock.now() + tokens.LIFETIMES[row.template]
    return {"url": external(endpoint, token=token), "expires": expires}


def _deliver(letter: Letter) -> bool:
    try:
        _compose(letter).send()
    except (OSError, TemplateError) as error:  # SMTP's own errors are OSErrors
        log.error("mail_failed", mail_id=letter.id, template=letter.template, error=type(error).__name__)
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
        # Only a developer's own terminal may show what signs somebody in.
        if not settings.is_production and "url" in letter.context:
            facts["link"] = letter.context["url"]
    log.info("mail_sent", **facts)


def _compose(letter: Letter) -> EmailMultiAlternatives:
    """The mail of a template: the text's first line is `Subject: …`, the HTML says the same."""
    context = {"user": letter.user, "brand": BRAND, **letter.context}
    # Not render_template: its context processors are about a request, and here is none.
    environment = current_app.jinja_env
    g.zone = letter.user.timezone if letter.user else "UTC"  # the dates are for whom the mail is for
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
    """The same for every try, so that a mail sent twice after a crash is shown once."""
    name = hashlib.sha256(key.encode()).hexdigest()[:32]
    return f"<{name}@{urlsplit(settings.base_url).hostname}>"


def sender(settings: Settings) -> str:
    """Who mails are from: `?from=` of MAIL_URL, else its user where that is an address, else no-reply@host."""
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
        use_tls=not encrypted and bool(parts.username),  # a password never travels in the clear
        timeout=SMTP_TIMEOUT_SECONDS,
    )


def _outbox_path(key: str, settings: Settings) -> Path:
    safe = "".join(character if character.isalnum() else "-" for character in key)[:60]
    name = f"{safe}-{hashlib.sha256(key.encode()).hexdigest()[:8]}.eml"
    return Path(settings.instance_path) / "outbox" / name


class OutboxFile(BaseEmailBackend):
    """A mail backend that writes a message to a file, readable by the owner alone."""

    def __init__(self, path: Path, **options: Any) -> None:
        super().__init__(**options)
        self.path = path

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Write the messages; returns how many."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for message in email_messages:
                file.write(message.message().as_bytes())
        return len(email_messages)
