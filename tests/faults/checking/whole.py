"""What concerns every call: it ends (I16), each look sees the same (I17, I18), nothing of another session (I14)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

from tests.faults.checking.calls import NEVER, START, Call, Histories, Violation

_SLACK: Final = 2 * 10**9
"""ns beyond its deadline in which a call must have ended, on a busy machine."""
_DEADLINE: Final = 10 * 10**9
_UNSERVED: Final = frozenset({"OutcomeUnknown", "ConnectFailed", "DeadlineExceeded", "UnderReplicated", "MemberUnfit"})
_LOOKED: Final = ("exists", "revision", "state")


def crosstalk(key: str, odd: Sequence[Call]) -> Iterator[Violation]:
    """I14: no reply was that of another session; I4: no record was unreadable."""
    for call in odd:
        error = call.error
        if error is None:
            continue
        if error.startswith("CrossTalk"):
            yield Violation("I14", key, error, (call,))
        elif error.startswith(("Corrupt", "Codec")):
            yield Violation("I4", key, error, (call,))


def least_limit(found: Histories) -> int:
    """ns that a call of any client may take at least."""
    return min((limit for limit, _ in found.limits.values()), default=_DEADLINE)


def liveness(key: str, odd: Sequence[Call], found: Histories) -> Iterator[Violation]:
    """I16: each call ends by its deadline, in an error that is promised; and after a heal all are served.

    Args:
        odd: calls that ended in an error, or took longer than `least_limit`.
    """
    for call in odd:
        yield from _ended(key, call, found)


def _ended(key: str, call: Call, found: Histories) -> Iterator[Violation]:
    faults = found.faults
    limit, more = found.limits.get(call.file, (_DEADLINE, {}))
    limit += more.get(call.f, 0) + _SLACK
    took, error = call.ended - call.start, call.error
    if call.ended == NEVER:
        if call.file in found.stopped:
            yield Violation("I16", key, "a call never ended", (call,))
    elif took > limit and call.f != "final" and took > limit + faults.frozen(call.start, call.ended):
        yield Violation("I16", key, f"ended {took / 1e9:.1f} s after it began", (call,))
    if error is None:
        return
    if error.startswith("unexpected"):
        yield Violation("I16", key, error, (call,))
    elif call.kind == "fail" and call.f == "final":
        yield Violation("I16", key, f"not served at the end: {error}", (call,))
    elif error in _UNSERVED and not faults.touch(call.start, call.ended):
        yield Violation("I16", key, f"not served, and there was no fault: {error}", (call,))


def looks(key: str, looks: Sequence[Call], found: Histories) -> Iterator[Violation]:
    """I17: when all is over nothing changes any more. I18: nor after a member died; and every record has its ttl."""
    seen = sorted(looks, key=START)
    if found.looks and not seen:
        yield Violation("I16", key, "never seen at the end")
        return
    for call in seen:
        if call.answer.get("exists") and call.answer.get("ttl", 0) is None:
            yield Violation("I18", key, "a record without a ttl", (call,))
    for call, following in pairwise(seen):
        if _shown(call) != _shown(following):
            between = any(call.start < start < following.start for start, _, _ in found.faults.spans)
            text = f"look {following.answer['pass']} sees another session than look {call.answer['pass']}"
            yield Violation("I18" if between else "I17", key, text, (call, following))
            return


def copies(key: str, told: Sequence[Call]) -> Iterator[Violation]:
    """I18: as members told, each copy equals its original, and each record has a ttl."""
    for call in told:
        if call.f == "copies" and (call.answer["different"] or call.answer["without_ttl"]):
            yield Violation("I18", key, "copies differ, or have no ttl", (call,))


def _shown(call: Call) -> tuple[Any, ...]:
    return tuple(call.answer.get(name) for name in _LOOKED)
