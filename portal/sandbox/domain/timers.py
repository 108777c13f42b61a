"""Timed actions: debits settle, sessions expire, subscriptions renew."""

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
from portal.sandbox.domain.pricing import discounts, taxes
from portal.sandbox.domain.subscriptions import (
    cancellation,
    collection,
    pending_updates,
    renewals,
    subscription_items,
    trials,
)
from portal.sandbox.domain.subscriptions.schedules import lifecycle
from portal.sandbox.store import Store

Json = dict[str, Any]
log = logging.getLogger(__name__)
TIMER = "seq, mode, action, object FROM timers"
SETTLEMENTS = ("settle", "settle_refund", "verify_tax_id")


def tick(store: Store, config: Config, hold: bool = False) -> None:
    """Do everything that is due; hold keeps the settlements of banks for later."""
    held = f"action NOT IN {SETTLEMENTS}" if hold else "1"
    run(store, config, store.rows(f"SELECT {TIMER} WHERE due <= ? AND {held} ORDER BY due", time.time()))


def settle(store: Store, config: Config) -> None:
    """Settle everything that waits for a bank now."""
    run(store, config, store.rows(f"SELECT {TIMER} WHERE action IN {SETTLEMENTS} ORDER BY due"))


def run(store: Store, config: Config, due: list[Any]) -> None:
    """Run due timers, each in its own transaction; one that fails is dropped."""
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
    """Advance a test clock: everything that becomes due happens, in order and at its own time."""
    due = (
        "SELECT seq, due, action, object FROM clock_timers WHERE clock = ? AND due <= ? ORDER BY due, seq LIMIT 1"
    )
    while found := account.store.rows(due, clock["id"], to):
        seq, moment, action, id_ = found[0]
        account.store.db.execute("DELETE FROM clock_timers WHERE seq = ?", (seq,))
        if int(moment) > clock["frozen_time"]:
            account.change(clock, {"frozen_time": int(moment)})
        then = Account(account.store, account.config, account.mode, clock=clock)
        value = then.get(id_)
        if value:
            ACTIONS[action](then, value)
    return account.change(clock, {"frozen_time": to})


def expire(account: Account, session: Json) -> None:
    """Expire a session that nobody completed in time."""
    if session["status"] == "open":
        sessions.expire(account, session)


def renew(account: Account, subscription: Json) -> None:
    """Handle the end of a period, if it still is one: a timer may outlive the date that it was set for."""
    if subscription_items.next_end(subscription) <= account.now() or cancellation.is_due(account, subscription):
        renewals.renew(account, subscription)


def collect(account: Account, invoice: Json) -> None:
    """Make the first or another attempt to collect an automatically collected invoice."""
    if invoice["status"] in ("draft", "open") and invoice["auto_advance"]:
        try:
            finalization.collect(account, invoice)
        except StripeError as error:
            if not error.keeps:
                raise


def give_up(account: Account, subscription: Json) -> None:
    """Handle the last failed attempt."""
    if subscription["status"] == "past_due":
        cancellation.end(account, subscription, "payment_failed")


ACTIONS: dict[str, Callable[[Account, Json], Any]] = {
    "settle": settlements.settle,
    "settle_refund": refunds.settle,
    "verify_tax_id": taxes.verify,
    "overdue": disputes.overdue,
    "expire": expire,
    "renew": renew,
    "lapse": cancellation.lapse,
    "collect": collect,
    "collect_again": collection.resume,
    "retry": collect,
    "announce": trials.announce,
    "give_up": give_up,
    "expiring": lifecycle.announce,
    "phase": renewals.next_phase,
    "drop_pending": pending_updates.drop,
    "end_discount": discounts.end,
}
