"""The base class of the enums of states, and the enum of modes."""

from enum import StrEnum
from typing import Self


def N_(message: str) -> str:  # noqa: N802 - the name that message extractors look for
    """Mark a label for extraction; it is translated where it is shown."""
    return message


class State(StrEnum):
    """A state that the database or Stripe names, with its `label` for people and the `tone` that it is shown in.

    `tone` is "", accent, positive, warning or negative. A string that is not among the members, such as one that
    Stripe added later, becomes a value of its own: its label is the string itself, and every property is false.
    """

    label: str
    tone: str

    def __new__(cls, word: str, label: str = "", tone: str = "") -> Self:
        state = str.__new__(cls, word)
        state._value_ = word
        state.label = label or word
        state.tone = tone
        return state

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        state = str.__new__(cls, value)
        state._name_ = state._value_ = state.label = value
        state.tone = ""
        return state


class Mode(StrEnum):
    """Stripe's two modes. There are no others: any other string raises ValueError."""

    LIVE = "live"
    TEST = "test"

    @classmethod
    def named(cls, word: str) -> Self | None:
        """Return the mode of this name, or None if there is none."""
        return next((mode for mode in cls if mode == word), None)

    @property
    def label(self) -> str:
        """Return the mode's name for people."""
        return MODE_LABELS[self]


MODE_LABELS = {Mode.LIVE: N_("Live"), Mode.TEST: N_("Test")}
