"""What /metrics reads from the database: the same on every host, so rules take `max` and never a sum."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import permutations, product

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.exc import SQLAlchemyError

from portal import clock, mail
from portal.enums import Mode
from portal.extensions import db, reading
from portal.figures import daily
from portal.instruments.reading import OfProcesses
from portal.metrics import deliveries
from portal.models import (
    AuditEntry,
    Customer,
    DailyFigure,
    EventState,
    MovementKind,
    OpenCall,
    Order,
    OutboxMail,
    Payment,
    PaymentStatus,
    Plan,
    StripeEvent,
    Subscription,
)
from portal.settings import current_settings, instance
from portal.sync import open_calls
from portal.webhooks.handlers import HANDLERS

DAY, DAYS_BEFORE = timedelta(days=1), 28
NOT_PAID = "invoice.not_paid"  # of the audit log: once for each failed attempt


def of_processes() -> OfProcesses:
    """Return what the processes have measured; outside of gunicorn, and without workers, this one alone."""
    return OfProcesses(instance.metrics_folders(current_settings()))


class FromDatabase(Collector):
    """The database's numbers. While it cannot be reached, `portal_database_up` is 0 and the rest is absent."""

    def collect(self) -> Iterator[Metric]:
        """Yield each metric. Begins a read-only transaction, and ends it."""
        found: list[Metric] = []
        try:
            reading()
            for part in (_webhooks, _queues, _checkouts, _payments, _subscriptions, _figures, _ledger):
                found += part(clock.now())
        except SQLAlchemyError:
            found = []
        try:
            db.session.rollback()
        except SQLAlchemyError:
            db.session.remove()
        yield GaugeMetricFamily("portal_database_up", "1 while the database answers.", value=int(bool(found)))
        yield from found


def _webhooks(_now: datetime) -> Iterator[Metric]:
    words = "Attempts to handle a delivered event, and deliveries of events that were done (duplicate)."
    counter = CounterMetricFamily("portal_webhook_deliveries", words, labels=["mode", "type", "outcome"])
    found = deliveries.totals()
    for key in product(Mode, HANDLERS, ("done", "failed", "duplicate")):
        found.setdefault(key, 0)  # a counter that appears with a 1 has no increase
    for key, number in sorted(found.items()):
        counter.add_metric(list(key), number)
    yield counter


def _queues(now: datetime) -> Iterator[Metric]:
    waiting = GaugeMetricFamily("portal_webhook_queue_events", "Events not done.", labels=["mode", "state"])
    age = GaugeMetricFamily(
        "portal_webhook_queue_age_seconds", "Age of the oldest event to be handled.", labels=["mode"]
    )
    # Expressions: by the columns themselves SQLite groups along another index, and reads every event.
    by = (func.coalesce(StripeEvent.mode, ""), func.coalesce(StripeEvent.state, ""))
    query = select(*by, func.count(), func.min(StripeEvent.received_at))
    states = (*EventState.waiting(), EventState.PARKED)
    oldest: dict[Mode, datetime] = {}
    for mode, state, number, first in db.session.execute(query.where(StripeEvent.state.in_(states)).group_by(*by)):
        waiting.add_metric([mode, state], number)
        if state in EventState.waiting():
            oldest[mode] = min(first, oldest.get(mode, first))
    for mode, first in oldest.items():
        age.add_metric([mode], (now - first).total_seconds())
    yield from (waiting, age)
    mails = GaugeMetricFamily(
        "portal_mail_outbox", "Emails not sent; lost ones are not tried again.", labels=["state"]
    )
    lost = OutboxMail.attempts >= mail.MAX_ATTEMPTS
    outbox = select(func.count(case((~lost, 1))), func.count(case((lost, 1)))).where(OutboxMail.sent_at.is_(None))
    for word, number in zip(("waiting", "lost"), db.session.execute(outbox).one(), strict=True):
        mails.add_metric([word], number)
    yield mails
    unclear = select(func.count(OpenCall.id)).where(*open_calls.UNCLEAR)
    words = "Calls to Stripe with an unknown outcome, which an admin decides about."
    yield GaugeMetricFamily("portal_unclear_calls", words, value=db.session.execute(unclear).scalar_one())


def _checkouts(_now: datetime) -> Iterator[Metric]:
    query = select(Order.mode, Order.kind, func.count(), func.count(Order.completed_at), func.count(Order.paid_at))
    made, completed, paid = (
        CounterMetricFamily(f"portal_checkouts_{word}", f"Orders {words}.", labels=["mode", "kind"])
        for word, words in (
            ("created", "that were begun"),
            ("completed", "whose checkout was completed"),
            ("paid", "that were paid"),
        )
    )
    for mode, kind, *numbers in db.session.execute(query.group_by(Order.mode, Order.kind)):
        for counter, number in zip((made, completed, paid), numbers, strict=True):
            counter.add_metric([mode, kind], number)
    yield from (made, completed, paid)


def _payments(_now: datetime) -> Iterator[Metric]:
    words = "Payments that succeeded, and failed attempts to pay an invoice."
    counter = CounterMetricFamily("portal_payments", words, labels=["mode", "outcome"])
    succeeded = select(Payment.mode, func.count()).where(Payment.status == PaymentStatus.SUCCEEDED)
    for mode, number in db.session.execute(succeeded.group_by(Payment.mode)):
        counter.add_metric([mode, "succeeded"], number)
    failed = select(Customer.mode, func.count()).join(AuditEntry, AuditEntry.customer_id == Customer.id)
    for mode, number in db.session.execute(failed.where(AuditEntry.action == NOT_PAID).group_by(Customer.mode)):
        counter.add_metric([mode, "failed"], number)
    yield counter


def _subscriptions(now: datetime) -> Iterator[Metric]:
    running = GaugeMetricFamily("portal_subscriptions", "Subscriptions, by status.", labels=["mode", "status"])
    words = "Subscriptions canceled in the last 24 hours, and the mean of a day in the 28 days before."
    spike = GaugeMetricFamily("portal_cancellations", words, labels=["mode", "window"])
    latest, before = [case((one, 1)) for one in canceled(now)]
    query = select(Subscription.mode, Subscription.status, func.count(), func.count(latest), func.count(before))
    last = {mode: [0, 0] for mode in Mode}
    for mode, status, number, *both in db.session.execute(query.group_by(Subscription.mode, Subscription.status)):
        running.add_metric([mode, status], number)
        last[mode] = [a + b for a, b in zip(last[mode], both, strict=True)]
    for mode, (day, earlier) in last.items():
        spike.add_metric([mode, "day"], day)
        spike.add_metric([mode, "mean"], earlier / DAYS_BEFORE)
    yield from (running, spike)


def canceled(now: datetime) -> list[ColumnElement[bool]]:
    """Return the conditions of subscriptions whose cancellation was asked for in the last day, and in the 28 days
    before that.
    """
    at = Subscription.canceled_at
    return [at > now - DAY, (at <= now - DAY) & (at > now - DAY * (1 + DAYS_BEFORE))]


def _figures(_now: datetime) -> Iterator[Metric]:
    """Yield what the daily sums have: those of the business figures."""
    mrr = GaugeMetricFamily(
        "portal_mrr", "Booked MRR in minor units of the currency.", labels=["mode", "currency"]
    )
    words = "Booked movements of MRR: new, expansion, contraction, churn, reactivation, opening."
    moved = CounterMetricFamily("portal_subscription_movements", words, labels=["mode", "kind"])
    words = "Booked changes of plan; free is no plan."
    plans = CounterMetricFamily("portal_plan_changes", words, labels=["mode", "from", "to"])
    query = select(DailyFigure.mode, DailyFigure.name, DailyFigure.currency, func.sum(DailyFigure.amount))
    query = query.where(~DailyFigure.name.startswith(daily.WEBHOOKS))
    sums: dict[tuple[Mode, str], int] = {}
    counts = dict.fromkeys(product(Mode, _counted()), 0)
    for mode, name, currency, amount in db.session.execute(
        query.group_by(DailyFigure.mode, DailyFigure.name, DailyFigure.currency)
    ):
        if name.startswith("mrr."):
            sums[mode, currency] = sums.get((mode, currency), 0) + int(amount)
        else:
            counts[mode, name] = counts.get((mode, name), 0) + int(amount)
    for key, amount in sorted(sums.items()):
        mrr.add_metric(list(key), amount)
    for (mode, name), number in sorted(counts.items()):
        group, _, rest = name.partition(".")
        if group == "subscriptions":
            moved.add_metric([mode, rest], number)
        elif group == "plans":
            plans.add_metric([mode, *rest.split(">")], number)
    yield from (mrr, moved, plans)


def _counted() -> Iterator[str]:
    """Yield the counts that there can be, each of which begins at 0."""
    yield from (f"subscriptions.{kind}" for kind in MovementKind)
    tiers = db.session.execute(select(Plan.tier)).scalars()
    yield from (f"plans.{before}>{after}" for before, after in permutations(sorted({"free", *tiers}), 2))


def _ledger(_now: datetime) -> Iterator[Metric]:
    left = GaugeMetricFamily("portal_credits_outstanding", "Credits that customers have left.", labels=["mode"])
    debt = GaugeMetricFamily("portal_credit_debt", "Credits below zero, of all customers.", labels=["mode"])
    owing = GaugeMetricFamily("portal_customers_in_debt", "Customers below zero.", labels=["mode"])
    balance = Customer.credit_balance
    below = case((balance < 0, balance))
    query = select(Customer.mode, func.sum(case((balance > 0, balance))), func.sum(below), func.count(below))
    for mode, plus, minus, number in db.session.execute(query.group_by(Customer.mode)):
        left.add_metric([mode], int(plus or 0))
        debt.add_metric([mode], -int(minus or 0))
        owing.add_metric([mode], number)
    yield from (left, debt, owing)
