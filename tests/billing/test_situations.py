"""What the page says beforehand is what the invoice charges afterwards, to the cent, over two renewals.

Each situation is built through Stripe's API, as the Dashboard does. The sums are calculated here from Stripe's
documentation, because a sandbox that is compared with its own preview proves little.
"""

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask

from tests.billing.situations import (
    Sums,
    a_discount_of_one_product,
    a_discount_once,
    a_discount_that_ends,
    a_fifth_off_and_a_tax,
    a_pending_item,
    a_smaller_plan,
    a_tax_inside,
    a_tax_of_one_item,
    an_add_on,
    back_and_forth,
    down_with_an_invoice,
    five_seats,
    fractions_of_a_cent,
    in_packages,
    in_tiers,
    no_seats,
    plain,
    seats_within_the_period,
    two_discounts,
)
from tests.billing.situations_in_time import (
    a_balance,
    a_month_beside_a_year,
    a_planned_change,
    a_sent_invoice,
    a_trial,
    a_trial_with_a_discount,
    an_anchor_later,
    an_end_at_the_period,
    an_end_that_bills_what_is_pending,
    an_owed_balance,
    another_currency,
    paused_until_a_day,
    paused_without_charge,
    planned_seats_with_a_discount,
    planned_seats_within_a_period,
    something_bought_once,
    three_months,
    two_subscriptions,
    weekly,
)
from tests.billing.situations_of_edits import EDITS
from tests.conftest import Person
from tests.support import billing_page
from tests.support.clocked import Clocked, on_a_clock
from tests.support.world import World


@pytest.fixture
def carol(here: World, app: Flask, alice: Person) -> Clocked:
    """Alice's customer in test mode, on a clock, with a card."""
    return on_a_clock(here, alice.user)


SITUATIONS = [
    plain,
    five_seats,
    seats_within_the_period,
    an_add_on,
    a_pending_item,
    a_smaller_plan,
    back_and_forth,
    down_with_an_invoice,
    in_tiers("graduated", 12),
    in_tiers("graduated", 10),
    in_tiers("volume", 12),
    in_packages("up", 5000),
    in_packages("down", 4500),
    fractions_of_a_cent,
    no_seats,
    a_fifth_off_and_a_tax,
    a_tax_inside,
    a_tax_of_one_item,
    a_discount_that_ends,
    a_discount_once,
    two_discounts,
    a_discount_of_one_product,
    a_balance,
    an_owed_balance,
    a_trial,
    a_trial_with_a_discount,
    a_sent_invoice,
    an_end_at_the_period,
    an_end_that_bills_what_is_pending,
    a_planned_change,
    planned_seats_with_a_discount,
    planned_seats_within_a_period,
    three_months,
    weekly,
    a_month_beside_a_year,
    another_currency,
    two_subscriptions,
    an_anchor_later,
    something_bought_once,
    paused_without_charge,
    paused_until_a_day,
    *EDITS,
]


@pytest.mark.parametrize("build", SITUATIONS)
def test_what_is_said_is_what_is_charged(carol: Clocked, build: Callable[[Clocked], Sums]) -> None:
    for expected in build(carol):
        seen, since = billing_page.read(carol), billing_page.now(carol)
        if expected is None:
            assert seen.next is None, seen.dated
            billing_page.advance_to(carol, since + timedelta(days=31, hours=2))
            assert billing_page.charged(carol, since + timedelta(seconds=1)) == 0
            continue
        assert seen.next is not None, seen.charges
        at, amount = seen.next
        assert amount == expected
        billing_page.advance_to(carol, at + timedelta(hours=2))
        assert billing_page.charged(carol, at) == expected
