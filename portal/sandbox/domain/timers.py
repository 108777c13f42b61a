"""What time brings: debits settle, sessions expire, subscriptions renew."""

import logging
import time
from collections.abc import Callable
from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError
from portal.sandbox.config import Config
from portal.sandbox.domain.checkout import sessions
from portal.sandbox.domain.invoices import finalization
from portal.sandbox.domain.payments import disputes, refunds, settlements
from portal.sandbox.domain.subscriptions import cancellation, pending_updates, renewals, subscription_items, trials
from portal.sandbox.store import Store

Json = dict[str, Any]
log = logging.getLogger(__name__)
TIMER = "seq, mode, action, object FROM timers"
SETTLEMENTS = ("settle", "settle_refund")


def tick(store: Store, config: Config, hold: bool = False) -> None:
    """Do everything that is due; hold leaves the settlements of banks for later."""
    held = f"action NOT IN {SETTLEMENTS}" if hold else "1"
    run(store, config, store.rows(f"SELECT {TIMER} WHERE due <= ? AND {held} ORDER BY due", time.time()))


def settle(store: Store, config: Config) -> None:
    """Have the banks answer now whatever they were asked."""
    run(store, config, store.rows(f"SELECT {TIMER} WHERE action IN {SETTLEMENTS} ORDER BY due"))


def run(store: Store, config: Config, due: list[Any]) -> None:
    """Do what timers say, each in its own transaction; one that can't be done is given up."""
    for seq, mode, action, id_ in due:
        account = Account(store, config, mode)
        try:
            with store.transaction():
                # Another thread may have been faster.
                mine = store.db.execute("DELETE FROM timers WHERE seq = ?", (seq,)).rowcount
                if mine and (value := account.get(id_)):
                    ACTIONS[action](account, value)
        except StripeError:
            log.exception("%s of %s could not be done", action, id_)
            with store.transaction():
                store.db.execute("DELETE FROM timers WHERE seq = ?", (seq,))


def advance(account: Account, clock: Json, to: int) -> Json:
    """Let a test clock's time pass: everything that falls due happens, in order and at its own time."""
    due = (
        "SELECT seq, due, action, object FROM clock_timers WHERE clock = ? AND due <= ? ORDER BY due, seq LIMIT 1"
    )
    while found := account.store.rows(due, clock["id"], to):
        seq, moment, action, id_ = found[0]
        account.store.db.execute("DELETE FROM clock_timers WHERE seq = ?", (seq,))
        account.change(clock, {"frozen_time": max(clock["frozen_time"], int(moment))})
        then = Account(account.store, account.config, account.mode, clock=clock)
        value = then.get(id_)
        if value:
            ACTIONS[action](then, value)
    return account.change(clock, {"frozen_time": to})


def expire(account: Account, session: Json) -> None:
    """A session that nobody completed in time."""
    if session["status"] == "open":
        sessions.expire(account, session)


def renew(account: Account, subscription: Json) -> None:
    """The end of a period, if it is one still: a timer may outlive the date that it was set for."""
    if subscription_items.next_end(subscription) <= account.now() or cancellation.is_due(account, subscription):
        renewals.renew(account, subscription)


def collect(account: Account, invoice: Json) -> None:
    """The first or another attempt to collect an invoice that Stripe may collect by itself."""
    if invoice["status"] in ("draft", "open") and invoice["auto_advance"]:
        finalization.collect(account, invoice)


def give_up(account: Account, subscription: Json) -> None:
    """The last attempt has failed."""
    if subscription["status"] == "past_due":
        cancellation.end(account, subscription, "payment_failed")


ACTIONS: dict[str, Callable[[Account, Json], Any]] = {
    "settle": settlements.settle,
    "settle_refund": refunds.settle,
    "overdue": disputes.overdue,
    "expire": expire,
    "renew": renew,
    "lapse": cancellation.lapse,
    "collect": collect,
    "retry": collect,
    "announce": trials.announce,
    "give_up": give_up,
    "phase": renewals.next_phase,
    "drop_pending": pending_updates.drop,
}
