"""The enums of states: what a word is called, what follows from it, and what becomes of a word nobody knows."""

import json

import pytest

from portal.enums import Mode, State
from portal.models import (
    BillState,
    EventState,
    InvoiceStatus,
    OrderState,
    PaidState,
    PaymentStatus,
    ReversalKind,
    ReversalState,
    SubscriptionStatus,
)

ENUMS = (
    BillState,
    EventState,
    InvoiceStatus,
    OrderState,
    PaymentStatus,
    ReversalState,
    SubscriptionStatus,
    PaidState,
)
TONES = {"", "accent", "positive", "warning", "negative"}
FACTS = {
    name
    for enum in ENUMS
    for name, value in vars(enum).items()
    if isinstance(value, property) and name != "headline"
}


@pytest.mark.parametrize("state", [one for enum in ENUMS for one in enum], ids=repr)
def test_every_state_has_a_label_and_a_tone(state: State) -> None:
    assert state.label[0].isupper()
    assert "_" not in state.label
    assert state.tone in TONES
    assert type(state)(str(state)) is state


@pytest.mark.parametrize("enum", ENUMS)
def test_a_word_that_is_new_is_itself_and_nothing_follows_from_it(enum: type[State]) -> None:
    word = enum("on_hold")
    assert (word, word.label, word.tone, str(word)) == ("on_hold", "on_hold", "", "on_hold")
    assert json.dumps({"status": word}) == '{"status": "on_hold"}'
    assert [fact for fact in FACTS if getattr(word, fact, False)] == []
    assert word not in list(enum)


def test_an_unknown_dispute_holds_the_money_and_an_unknown_refund_moves_none() -> None:
    word = ReversalState("on_hold")
    assert word.takes_money(ReversalKind.DISPUTE)
    assert not word.takes_money(ReversalKind.REFUND)
    assert word.headline == "Payment disputed"


def test_there_are_two_modes() -> None:
    assert [mode.label for mode in Mode] == ["Live", "Test"]
    assert Mode.named("live") is Mode.LIVE
    assert Mode.named("sandbox") is None
    with pytest.raises(ValueError, match="sandbox"):
        Mode("sandbox")
