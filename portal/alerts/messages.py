"""The messages about an alert: emails by the outbox, and calls of chat webhooks by threads of their own."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from urllib.parse import urlsplit

import requests
import structlog
from flask import Flask, current_app
from sqlalchemy import select

from portal import mail
from portal.alerts.rules import SEVERITY
from portal.extensions import db
from portal.models import OperatorAlert
from portal.settings import current_settings

log = structlog.get_logger()

BEGAN, ENDED = "began", "ended"
SECONDS = 5.0  # that a chat webhook may take
TOGETHER_SECONDS = 12.0  # that messages without a database may take
AGAIN_AFTER = timedelta(minutes=5)
GIVEN_UP_AFTER = timedelta(days=1)
MAILTO = "mailto:"

_threads: list[threading.Thread] = []


@dataclass(frozen=True)
class News:
    """The begin or the end of an alert."""

    alert_id: int  # 0: there is no database to write it to
    name: str
    host: str
    words: str
    began_at: datetime
    ended_at: datetime | None

    @property
    def stage(self) -> str:
        """Return which of both it is."""
        return ENDED if self.ended_at else BEGAN

    @property
    def facts(self) -> dict[str, Any]:
        """Return what the mail's template shows."""
        return {
            "alert": self.name,
            "severity": SEVERITY[self.name],
            "host": self.host,
            "words": self.words,
            "portal": urlsplit(current_settings().base_url).netloc,
            "began": f"{self.began_at:%Y-%m-%d %H:%M} UTC",
            "ended": f"{self.ended_at:%Y-%m-%d %H:%M} UTC" if self.ended_at else "",
        }

    @property
    def text(self) -> str:
        """Return what a chat webhook is sent. It has no secret and names no customer."""
        facts = self.facts
        what = f"[{'ended' if self.ended_at else facts['severity']}] {facts['portal']}: {self.name}. {self.words}"
        where = f" Host: {self.host}." if self.host else ""
        until = f" until {facts['ended']}" if self.ended_at else ""
        return f"{what}{where} Since {facts['began']}{until}."


def news(row: OperatorAlert) -> News:
    """Return what there is to tell of an alert now."""
    return News(row.id, row.name, row.host, row.words, row.began_at, row.ended_at)


def queue_mails(one: News) -> None:
    """Queue an email to each address. Flushes."""
    for to in _addresses():
        key = f"alert:{one.alert_id}:{one.stage}:{_hash(to)}"
        mail.queue(None, "alert", key, to=to.removeprefix(MAILTO), **one.facts)


def tell(due: Iterable[News]) -> None:
    """Call the chat webhooks in threads, so that one that hangs delays nothing else."""
    app = cast(Any, current_app)._get_current_object()
    _threads[:] = [thread for thread in _threads if thread.is_alive()]
    for one in due:
        for url in _chats():
            _start(_call_and_note, app, one, url)


def wait() -> None:
    """Wait for messages under way: a command must not end before."""
    for thread in _threads:
        thread.join(SECONDS + 1)


def tell_directly(one: News, but: Sequence[str]) -> list[str]:
    """Tell everybody without the database, except those whose hash is given. Returns the hashes of the others who
    were told.
    """
    app = cast(Any, current_app)._get_current_object()
    told: list[str] = []
    threads = [_start(_send, app, one, to, told) for to in current_settings().alerts_to if _hash(to) not in but]
    until = time.monotonic() + TOGETHER_SECONDS
    for thread in threads:
        thread.join(max(0, until - time.monotonic()))
    return list(told)


def _start(target: Callable[..., None], *args: Any) -> threading.Thread:
    thread = threading.Thread(target=target, args=args, daemon=True, name="alert")
    _threads.append(thread)
    thread.start()
    return thread


def _addresses() -> list[str]:
    return [to for to in current_settings().alerts_to if to.startswith(MAILTO)]


def _chats() -> list[str]:
    return [to for to in current_settings().alerts_to if not to.startswith(MAILTO)]


def _hash(to: str) -> str:
    """Return what stands for an address where it is stored or logged: a chat webhook's URL is a secret."""
    return hashlib.sha256(to.encode()).hexdigest()[:16]


def _send(app: Flask, one: News, to: str, told: list[str]) -> None:
    """Tell one address, and add its hash to those who were told."""
    with app.app_context():
        if not to.startswith(MAILTO):
            done = _call(to, one.text)
        else:
            key = f"alert:{one.name}:{one.host}:{one.began_at.isoformat()}:{one.stage}"
            done = mail.send(mail.Letter(0, key, "alert", None, to.removeprefix(MAILTO), one.facts))
        if done:
            told.append(_hash(to))


def _call(url: str, text: str) -> bool:
    """Post a text to a chat webhook, and return whether it was taken."""
    try:
        taken = requests.post(url, json={"text": text}, timeout=SECONDS, allow_redirects=False, stream=True)
        status = taken.status_code
        taken.close()  # unread
    except requests.RequestException as error:  # its words repeat the URL
        log.warning("alert_not_sent", to=_hash(url), error=type(error).__name__)
        return False
    if status >= 300:
        log.warning("alert_not_sent", to=_hash(url), status=status)
    return status < 300


def _call_and_note(app: Flask, one: News, url: str) -> None:
    """Tell a chat webhook of an alert, if it was not told yet, and write that down. Commits."""
    with app.app_context():
        told = db.session.execute(select(OperatorAlert.told).filter_by(id=one.alert_id)).scalar_one()
        db.session.commit()
        if told.get(_hash(url)) != one.stage and not _call(url, one.text):
            return
        query = select(OperatorAlert).filter_by(id=one.alert_id).with_for_update()
        row = db.session.execute(query).scalar_one()
        row.told = {**row.told, _hash(url): one.stage}
        if all(row.told.get(_hash(chat)) == news(row).stage for chat in _chats()):
            row.next_try_at = None
        db.session.commit()
