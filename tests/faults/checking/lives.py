"""Sessions that expire: readable until then and no longer (I12), and told of (I15)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.faults.checking.calls import NEVER, START, Call, Faults, Violation
from tests.faults.checking.counters import skew


def expiry(key: str, calls: Sequence[Call], faults: Faults) -> Iterator[Violation]:
    """I12: nothing readable after its time, nothing gone before it; and reading extends nothing. One caller per key."""
    bound = skew(faults)
    gone_at_earliest = gone_at_latest = 0
    written = False
    for call in sorted(calls, key=START):
        if call.f in ("write", "touch"):
            ttl = int(call.asked * 1e9)
            if call.kind == "info":
                # It may have been extended, at any time until its deadline: the rest of this life is not judged.
                return
            if call.kind == "ok" and (call.f == "write" or call.answer):
                written, gone_at_earliest, gone_at_latest = True, call.start + ttl, call.end + ttl
            elif call.kind == "ok" and call.end < gone_at_earliest - bound:
                yield Violation("I12", key, "a touch found nothing before its time", (call,))
            continue
        if call.kind != "ok" or faults.touch(call.start, call.ended):
            continue
        there = call.answer["exists"] if call.f == "final" else call.answer
        if there and (not written or call.start > gone_at_latest + bound):
            late = (call.start - gone_at_latest) / 1e9
            yield Violation("I12", key, f"there {late:.2f} s after its time", (call,))
            return
        if not there and written and call.end < gone_at_earliest - bound:
            early = (gone_at_earliest - call.end) / 1e9
            yield Violation("I12", key, f"gone {early:.2f} s before its time", (call,))
            return


def told(key: str, calls: Sequence[Call], faults: Faults, listened: int) -> Iterator[Violation]:
    """I15: each life that ended is told of, not before its time, and acknowledged by one.

    Args:
        listened: until when (ns) somebody listened to the end; 0 = nobody did.
    """
    bound = skew(faults)
    lives = {call.asked[1]: call for call in calls if call.f == "expiring" and call.kind != "fail"}
    tellings = [call for call in calls if call.f == "told"]
    acknowledged: dict[int, list[Call]] = {}
    for call in tellings:
        life = lives.get(call.asked)
        if life is None:
            yield Violation(
                "I3", key, f"told of {call.asked}, which nobody put there", (call,), strangers=(call.asked,)
            )
        elif call.end < life.start + int(life.asked[0] * 1e9) - bound:
            yield Violation("I15", key, "told before its time", (life, call))
        if call.kind == "ok" and call.answer[1]:
            acknowledged.setdefault(call.asked, []).append(call)
    for token, calls_of in acknowledged.items():
        if len(calls_of) > 1:
            yield Violation("I15", key, f"{len(calls_of)} acknowledged {token}", tuple(calls_of))
    for token, life in lives.items():
        perhaps = any(call.asked == token and call.kind == "info" for call in tellings)
        due = life.end if life.end == NEVER else life.end + int(life.asked[0] * 1e9) + bound
        if due < listened and token not in acknowledged and not perhaps:
            heard = [call for call in tellings if call.asked == token]
            text = "told of, and acknowledged by nobody" if heard else "nobody was told of it"
            yield Violation("I15", key, text, (life, *heard))
