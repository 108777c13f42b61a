"""Whatever happens, in any order and any number of times: the ledger stays consistent."""

from dataclasses import dataclass, replace

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal import clock, gateway
from portal.credits import ledger
from portal.credits.orders import fulfillment
from portal.extensions import db
from portal.models import Order
from portal.models.order import new_number
from portal.payments import reversal_sync, status
from portal.sync import versions
from tests.support.books import a_customer, a_grant, assert_balanced, entries_of

pytestmark = pytest.mark.both_databases

# Odd on purpose: 1000 credits for 7.77, so that proportions never come out even.
CREDITS, AMOUNT = 1000, 777

parts = st.integers(1, AMOUNT)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("purchase"), st.integers(0, 1)),
        st.tuples(st.just("refund"), st.tuples(st.integers(0, 1), parts)),
        st.tuples(st.just("refund fails"), st.integers(0, 3)),
        st.tuples(st.just("dispute"), st.tuples(st.integers(0, 1), parts)),
        st.tuples(st.just("dispute won"), st.integers(0, 3)),
        st.tuples(st.just("spend"), st.tuples(st.integers(0, 5), st.integers(1, 900))),
        st.tuples(st.just("grant"), st.integers(1, 300)),
        st.tuples(st.just("again"), st.none()),
    ),
    max_size=14,
)


@dataclass
class Payment:
    """Stripe's facts of one payment."""

    order: Order
    reversals: dict[str, gateway.Reversal]

    @property
    def charge(self) -> gateway.Charge:
        refunds = [one for one in self.reversals.values() if one.kind == "refund"]
        name, refunded = self.order.payment_intent, sum(map(status.withdrawn, refunds))
        return gateway.Charge(f"ch_{name}", name, AMOUNT, refunded, "usd", None, clock.now())


class Shop:
    """A customer, two payments at Stripe, and our functions that sync them."""

    def __init__(self, customer_id: int, number: int) -> None:
        self.customer_id = customer_id
        self.name = str(number)
        self.payments = [self._payment(n) for n in range(2)]
        self.paid: set[int] = set()

    def _payment(self, n: int) -> Payment:
        order = Order(
            number=new_number(),
            customer_id=self.customer_id,
            mode="live",
            kind="credits",
            item="starter",
            name="Starter",
            credits=CREDITS,
            amount=AMOUNT,
            currency="usd",
            params={},
            session_id=f"cs_{self.name}_{n}",
            payment_intent=f"pi_{self.name}_{n}",
            state="paid",
            created_at=clock.now(),
        )
        db.session.add(order)
        db.session.commit()
        return Payment(order, {})

    def tell(self) -> None:
        """Deliver every webhook once more: all functions read what Stripe says now."""
        for n in sorted(self.paid):
            self._give(self.payments[n])
            self._sync(self.payments[n])

    def purchase(self, n: int) -> None:
        self.paid.add(n)
        self._give(self.payments[n])

    def reverse(self, kind: str, n: int, amount: int) -> None:
        if n not in self.paid:
            return
        held = self.payments[n].reversals
        stripe_id = f"{kind}_{self.name}_{n}_{len(held)}"
        status = "succeeded" if kind == "refund" else "needs_response"
        held[stripe_id] = gateway.Reversal(stripe_id, kind, f"ch_{n}", amount, status, clock.now())
        self._sync(self.payments[n])

    def give_back(self, kind: str, status: str, which: int) -> None:
        for n in sorted(self.paid):
            of_kind = [one for one in self.payments[n].reversals.values() if one.kind == kind]
            for one in of_kind[which : which + 1]:
                self.payments[n].reversals[one.id] = replace(one, status=status)
            self._sync(self.payments[n])

    def spend(self, reference: int, credits: int) -> None:
        before = ledger.spendable(self.customer_id)
        try:
            entry = ledger.spend(self.customer_id, credits, f"call-{reference}")
            assert entry.balance_after >= 0
            assert entry.amount == -credits
            db.session.commit()
        except ledger.InsufficientCredits:
            db.session.rollback()
            assert before < credits
        except ledger.ReferenceReused:
            db.session.rollback()

    def grant(self, credits: int) -> None:
        a_grant(self.customer_id, credits, 10, f"grant-{credits}")

    def _give(self, payment: Payment) -> None:
        charge, now = payment.charge, clock.now()
        intent = gateway.PaymentIntent(
            str(charge.payment_intent), "succeeded", AMOUNT, "usd", None, None, charge, now
        )
        fulfillment.give(payment.order, fulfillment.Bought(intent))
        db.session.commit()

    def _sync(self, payment: Payment) -> None:
        number = versions.take("live", payment.charge.id)
        snapshot = reversal_sync.PaymentSnapshot("live", number, payment.charge, list(payment.reversals.values()))
        reversal_sync.apply(snapshot)
        db.session.commit()

    def kept(self) -> int:
        """Return the credits that the payments leave, computed from Stripe's side alone."""
        lost = (min(sum(map(status.withdrawn, self.payments[n].reversals.values())), AMOUNT) for n in self.paid)
        return sum(CREDITS - (2 * amount * CREDITS + AMOUNT) // (2 * AMOUNT) for amount in lost)


def take(shop: Shop, step: str, given: object) -> None:
    """Do one random step."""
    match step, given:
        case "purchase", int(n):
            shop.purchase(n)
        case "refund" | "dispute", (int(n), int(amount)):
            shop.reverse(step, n, amount)
        case "refund fails", int(which):
            shop.give_back("refund", "failed", which)
        case "dispute won", int(which):
            shop.give_back("dispute", "won", which)
        case "spend", (int(reference), int(credits)):
            shop.spend(reference, credits)
        case "grant", int(credits):
            shop.grant(credits)
        case _:
            shop.tell()


def test_any_interleaving_keeps_the_books_balanced(app: Flask) -> None:
    examples = iter(range(10**6))

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(steps)
    def whatever_happens(story: list[tuple[str, object]]) -> None:
        db.session.rollback()
        number = next(examples)
        shop = Shop(a_customer(f"dora{number}"), number)
        for step, values in story:
            take(shop, step, values)
            assert_balanced(shop.customer_id)
        shop.tell()
        told_once = entries_of(shop.customer_id)
        shop.tell()
        assert entries_of(shop.customer_id) == told_once
        others = sum(amount for reason, amount, _ in told_once if reason in ("spend", "grant", "expiry"))
        assert assert_balanced(shop.customer_id) == shop.kept() + others

    whatever_happens()
