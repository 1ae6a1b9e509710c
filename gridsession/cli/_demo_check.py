"""The demo's verdict: what the sessions hold at the end, compared with what was acknowledged on the way.

Pure: it reads no clock and no store. The witness is each session's list of message ids, in the order in which the
turns took effect, next to its count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from operator import add
from typing import Final


class Outcome(Enum):
    """What became of a message, as far as the platform was told."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    """Every delivery of it was refused by the store: it has no effect."""
    UNKNOWN = "unknown"
    """Neither: it has its effect once, or none."""


@dataclass(slots=True, eq=False)
class Message:
    """One message to one session.

    Attributes:
        id: the platform's own, the same in each delivery.
        sent: when it was first sent, seconds of any clock.
        acknowledged: when it was first acknowledged, of the same clock; None if it was not.
        refused: how many of its deliveries were refused for sure.
        deliveries: how often it was sent.
    """

    session_id: str
    id: str
    sent: float
    acknowledged: float | None = None
    refused: int = 0
    deliveries: int = 0

    @property
    def outcome(self) -> Outcome:
        """What became of it."""
        if self.acknowledged is not None:
            return Outcome.ACKNOWLEDGED
        return Outcome.REFUSED if self.refused >= self.deliveries else Outcome.UNKNOWN


@dataclass(frozen=True, slots=True)
class Stored:
    """What a session holds at the end: its count, and the ids of its messages in the order of their effects."""

    count: int = 0
    message_ids: Sequence[str] = ()


_EMPTY: Final = Stored()


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many messages came to what.

    Attributes:
        lost: acknowledged, and not among what took effect (or in the list and not in the count).
        duplicated: effects beyond the first of a message, in the list or in the count.
        out_of_order: acknowledged before another message of the session was sent, and yet standing after it.
        foreign: effects that must not be there: of a message of another session, or of one that was refused.
        examples: for each fault found, a few sessions to look at.
    """

    sent: int = 0
    acknowledged: int = 0
    refused: int = 0
    unknown: int = 0
    lost: int = 0
    duplicated: int = 0
    out_of_order: int = 0
    foreign: int = 0
    examples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether nothing acknowledged was lost, duplicated or put out of order, and something was acknowledged."""
        return self.acknowledged > 0 and not (self.lost or self.duplicated or self.out_of_order or self.foreign)


_FAULTS: Final = ("lost", "duplicated", "out_of_order", "foreign")
_KEPT_EXAMPLES: Final = 3


def compare(messages: Iterable[Message], stored: Mapping[str, Stored]) -> Verdict:
    """The verdict on all messages of a run.

    Args:
        messages: every message that was sent, each once.
        stored: by session id, what is there at the end; a session that is missing is empty.
    """
    sessions: dict[str, dict[str, Message]] = {session_id: {} for session_id in stored}
    for message in messages:
        sessions.setdefault(message.session_id, {})[message.id] = message
    outcomes = Counter(message.outcome for session in sessions.values() for message in session.values())
    totals = [0] * len(_FAULTS)
    examples: dict[str, tuple[str, ...]] = {}
    for session_id, sent in sessions.items():
        faults = _faults(sent, stored.get(session_id, _EMPTY))
        totals = list(map(add, totals, faults))
        for name, found in zip(_FAULTS, faults, strict=True):
            if found and len(examples.get(name, ())) < _KEPT_EXAMPLES:
                examples[name] = (*examples.get(name, ()), session_id)
    lost, duplicated, out_of_order, foreign = totals
    return Verdict(
        sent=outcomes.total(),
        acknowledged=outcomes[Outcome.ACKNOWLEDGED],
        refused=outcomes[Outcome.REFUSED],
        unknown=outcomes[Outcome.UNKNOWN],
        lost=lost,
        duplicated=duplicated,
        out_of_order=out_of_order,
        foreign=foreign,
        examples=examples,
    )


def _faults(sent: Mapping[str, Message], stored: Stored) -> tuple[int, int, int, int]:
    """Lost, duplicated, out of order and foreign in one session."""
    standing = dict.fromkeys(stored.message_ids)  # each once, where it stands first
    missing = sum(message.outcome is Outcome.ACKNOWLEDGED and name not in standing for name, message in sent.items())
    repeated = len(stored.message_ids) - len(standing)
    foreign = sum(name not in sent or sent[name].outcome is Outcome.REFUSED for name in standing)
    # The count tells of faults that the list does not show, and the other way round.
    lost = missing + max(len(standing) - stored.count, 0)
    duplicated = max(repeated, stored.count - len(standing))
    return lost, duplicated, _out_of_order([sent[name] for name in standing if name in sent]), foreign


def _out_of_order(standing: Sequence[Message]) -> int:
    """How many stand after a message that was sent only when they were acknowledged already."""
    late, latest_sent = 0, float("-inf")
    for message in standing:
        late += message.acknowledged is not None and message.acknowledged < latest_sent
        latest_sent = max(latest_sent, message.sent)
    return late


def recovery_seconds(messages: Iterable[Message], killed: float, now: float) -> float:
    """The longest that a message on its way at the first kill, or sent later in the run, took to be acknowledged.

    Counted from that kill or from its first sending, whichever came later, so that it covers later kills and restarts
    too; a message that was never acknowledged counts up to now.
    """
    ends = ((message.sent, now if message.acknowledged is None else message.acknowledged) for message in messages)
    return max((end - max(sent, killed) for sent, end in ends if end > killed), default=0.0)
