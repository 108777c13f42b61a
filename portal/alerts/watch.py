"""Looks for what is wrong, each minute. Every alert is told once while it lasts, and so is its end."""

from datetime import UTC, datetime, timedelta
from socket import gethostname

import structlog
from sqlalchemy import case, func, select, update
from sqlalchemy.exc import SQLAlchemyError

from portal import clock
from portal.alerts import counts, messages, rules
from portal.alerts.memory import Memory, of_host
from portal.extensions import db, insert, reading, rows_changed
from portal.models import OperatorAlert
from portal.settings import current_settings

log = structlog.get_logger()

# A restart of the database is no alert, and a rule that holds again after a moment is the same alert.
DOWN_FOR = timedelta(seconds=50)
QUIET_FOR = timedelta(minutes=5)
AT_ONCE = 20  # alerts that one run tells chat webhooks of


def run() -> int:
    """Begin and end alerts, tell them, and return how many began or ended. Commits each."""
    if not current_settings().alerts_to:
        return 0
    with of_host() as memory:
        return 0 if memory is None else _look(memory)


def _look(memory: Memory) -> int:
    now = clock.now()
    found = counts.of_processes()
    try:
        reading()
        found |= counts.of_database()
        canceled = counts.canceled(now)
        db.session.commit()
    except SQLAlchemyError as error:
        db.session.remove()
        return _without_database(memory, now, error)
    memory.add(now, found)
    changed = _database_is_back(memory, now)
    windows = {one.minutes: memory.increase(now, one.minutes) for one in rules.RATIOS}
    holding = dict(rules.holding(windows, canceled))
    for name in rules.SEVERITY:
        if name in holding:
            memory.quiet_since.pop(name, None)
            changed += begin(name, holding[name], now)
        elif name != "database" and _is_quiet(memory, name, now):
            changed += end(name, now)
    messages.tell(_due(now))
    return changed


def _is_quiet(memory: Memory, name: str, now: datetime) -> bool:
    since = memory.quiet_since.setdefault(name, now.timestamp())
    return now.timestamp() - since >= QUIET_FOR.total_seconds()


def _without_database(memory: Memory, now: datetime, error: SQLAlchemyError) -> int:
    """Tell directly that the database cannot be reached, each address once; the file remembers whom."""
    memory.down_since = memory.down_since or now.timestamp()
    log.error("database_unreachable", error=type(error).__name__)
    began = datetime.fromtimestamp(memory.down_since, UTC)
    if now - began < DOWN_FOR:
        return 0
    news = messages.News(0, "database", gethostname(), rules.DATABASE, began, None)
    told = messages.tell_directly(news, but=memory.down_told)
    is_first = not memory.down_told
    memory.down_told += told
    return int(is_first and bool(told))


def _database_is_back(memory: Memory, now: datetime) -> int:
    """Write down the alert that was told directly, with its end, which is told as any other."""
    if memory.down_told and memory.down_since:
        row = OperatorAlert(
            name="database",
            host=gethostname(),
            words=rules.DATABASE,
            began_at=datetime.fromtimestamp(memory.down_since, UTC),
            ended_at=now,
            told=dict.fromkeys(memory.down_told, messages.BEGAN),
            next_try_at=now,
        )
        db.session.add(row)
        db.session.flush()
        messages.queue_mails(messages.news(row))
        db.session.commit()
    ended = bool(memory.down_told)
    memory.down_since, memory.down_told = None, []
    return int(ended)


def _host(name: str) -> str:
    return gethostname() if name in rules.OF_A_HOST else ""


def begin(name: str, words: str, now: datetime) -> int:
    """Begin an alert and queue its mails, unless it goes on already. Commits. Returns 1 if it began."""
    values = {"name": name, "host": _host(name), "words": words, "began_at": now, "told": {}, "next_try_at": now}
    statement = insert(OperatorAlert).values(**values).on_conflict_do_nothing().returning(OperatorAlert.id)
    made = db.session.execute(statement).scalar_one_or_none()
    if made is not None:
        messages.queue_mails(messages.News(made, name, _host(name), words, now, None))
        log.warning("alert_began", alert=name, words=words)
    db.session.commit()
    return int(made is not None)


def end(name: str, now: datetime) -> int:
    """End an alert and queue its mails, if it goes on. Commits. Returns 1 if it ended."""
    going_on = update(OperatorAlert).filter_by(name=name, host=_host(name), ended_at=None)
    ending = going_on.values(ended_at=now, next_try_at=now).returning(OperatorAlert.id)
    ended = db.session.execute(ending).scalar_one_or_none()
    if ended is not None:
        messages.queue_mails(messages.news(db.session.get_one(OperatorAlert, ended, populate_existing=True)))
        log.info("alert_ended", alert=name)
    db.session.commit()
    return int(ended is not None)


def _due(now: datetime) -> list[messages.News]:
    """Claim the alerts that chat webhooks have to be told of. Commits."""
    is_due = OperatorAlert.next_try_at <= now
    query = select(OperatorAlert.id).where(is_due).order_by(OperatorAlert.next_try_at).limit(AT_ONCE)
    claimed = []
    is_old = func.coalesce(OperatorAlert.ended_at, OperatorAlert.began_at) < now - messages.GIVEN_UP_AFTER
    again = case((is_old, None), else_=now + messages.AGAIN_AFTER)
    for alert_id in db.session.execute(query).scalars().all():
        claim = update(OperatorAlert).where(OperatorAlert.id == alert_id, is_due)
        if rows_changed(claim.values(next_try_at=again)):
            row = db.session.get_one(OperatorAlert, alert_id, populate_existing=True)
            claimed.append(messages.news(row))
        db.session.commit()
    db.session.commit()
    return claimed
