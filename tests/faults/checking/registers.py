"""Registers that one caller wins: compare and set, take, create and delete, expected revisions (I8, I2, I11)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from msgspec.structs import replace

from tests.faults.checking.calls import END, NEVER, START, Call, Faults, Violation, last_look
from tests.faults.checking.wgl import IMPOSSIBLE, linearizable

_READS: Final = frozenset({"get", "load"})
_INVARIANTS: Final = {"cas": "I8", "take": "I2", "recreate": "I11"}
_ENOUGH: Final = 10
_FOUND: Final = "sessions whose answers no order explains"
_QUICKLY: Final = 3_000
_LARGEST: Final = 200
"""Calls of one key: beyond, the search may take too long."""


def judge(key: str, calls: Sequence[Call], faults: Faults, counts: Counter[str]) -> Iterator[Violation]:
    """Whether some order of the calls explains all answers; those not found out are counted."""
    workload = key.partition(":")[0]
    tokens = {None, *(_token(call) for call in calls)}
    strange = [call for call in calls if _shown(call) not in tokens]
    if strange:
        shown = tuple(_shown(call) for call in strange)
        text = f"an answer holds {list(shown[:3])}, which nobody sent to this session"
        yield Violation("I3", key, text, tuple(strange[:3]), strangers=shown)
    if counts[_FOUND] >= _ENOUGH:
        # Searches in vain take longest, and more of the same tells nothing new.
        counts["not searched, as enough was found"] += 1
        return
    kept = [call for call in calls if _counts(call, faults)]
    if len(kept) > _LARGEST:
        counts["too long for a search"] += 1
        return
    held = linearizable(kept, _step)
    if held is None:
        counts["search given up"] += 1
    elif not held:
        counts[_FOUND] += 1
        least = _least(kept)
        text = f"no order of these {len(least)} calls explains their answers"
        yield Violation(_INVARIANTS[workload], key, text, tuple(least[:8]))
    if workload == "recreate":
        yield from epochs(key, calls)


def _counts(call: Call, faults: Faults) -> bool:
    """Whether the search has to explain it: answered, or perhaps done."""
    if call.f in _READS:
        # Plain reads may be stale while there are faults.
        return call.kind == "ok" and not faults.touch(call.start, call.ended)
    return call.kind != "fail" or (call.f == "create" and call.error == "Conflict")


def _token(call: Call) -> Any:
    return call.asked[1] if call.f == "cas" else call.asked if call.f in ("setdefault", "create") else None


def _shown(call: Call) -> Any:
    """The token in an answer; None if there is none."""
    if call.kind != "ok":
        return None
    if call.f in ("setdefault", "take", "get"):
        return call.answer
    if call.f == "load":
        return None if call.answer is None else call.answer[2]
    return call.answer["state"].get("r") if call.f == "final" else None


def _step(state: Any, call: Call) -> Any:
    """What the call makes of a register that holds `state`; None stands for nothing, or for no session."""
    f, asked, answer = call.f, call.asked, call.answer
    unknown = call.kind == "info"
    if f in ("get", "final", "load"):
        return state if _shown(call) == state else IMPOSSIBLE
    if f == "setdefault":
        after = asked if state is None else state
        return after if unknown or answer == after else IMPOSSIBLE
    if f == "take":
        return None if unknown or answer == state else IMPOSSIBLE
    if f == "delete":
        return None if unknown or answer is (state is not None) else IMPOSSIBLE
    if f == "cas":
        fits, after = state == asked[0], asked[1]
    else:
        fits, after = state is None, asked
        answer = call.kind == "ok"
    if unknown:
        return after if fits else state
    if answer is not fits:
        return IMPOSSIBLE
    return after if fits else state


def _least(calls: list[Call]) -> list[Call]:
    """Few calls that already cannot be explained: those that ended last are left out as long as the rest cannot."""
    ordered = sorted(calls, key=lambda call: call.ended)
    low, high = 1, len(ordered)
    while low < high:
        middle = (low + high) // 2
        if linearizable(_known_by(ordered, middle), _step, most=_QUICKLY) is False:
            high = middle
        else:
            low = middle + 1
    return _known_by(ordered, low)[-8:]


def _known_by(ordered: list[Call], count: int) -> list[Call]:
    """The first calls, and those begun meanwhile whose outcome was not known yet."""
    until = ordered[count - 1].ended
    rest = [replace(call, kind="info", end=NEVER) for call in ordered[count:] if call.start < until]
    return [call for call in rest if call.f not in _READS and call.f != "final"] + ordered[:count]


def epochs(key: str, calls: Sequence[Call]) -> Iterator[Violation]:
    """I11: each life of a session has an epoch above those before it."""
    made = sorted((call for call in calls if call.f == "create" and call.kind == "ok"), key=END)
    starts = sorted(made, key=START)
    highest, before, index = 0, None, 0
    for call in starts:
        while index < len(made) and made[index].end < call.start:
            if made[index].answer[0] > highest:
                highest, before = made[index].answer[0], made[index]
            index += 1
        if call.answer[0] <= highest and before is not None:
            yield Violation("I11", key, f"epoch {call.answer[0]} follows {highest}", (before, call))
            return


def winners(key: str, calls: Sequence[Call], looks: Sequence[Call], faults: Faults) -> Iterator[Violation]:
    """I8: of commits that expect a revision one wins; and who was told of a conflict had one. I7: it rises by one."""
    commits = [call for call in calls if call.f == "expect"]
    won: dict[tuple[int, int], Call] = {}
    possible: dict[tuple[int, int], int] = {}
    for call in commits:
        expected = _expected(call)
        if call.kind == "ok":
            if expected in won:
                yield Violation("I8", key, f"two commits won revision {expected}", (won[expected], call))
            won[expected] = call
            if call.answer[1] != expected[1] + 1:
                yield Violation("I7", key, f"revision {expected[1]} is followed by {call.answer[1]}", (call,))
        if call.kind != "fail":
            possible[expected] = min(possible.get(expected, NEVER), call.start)
    # Where one is known to have won, those whose outcome is not known have not.
    possible |= {expected: call.start for expected, call in won.items()}
    made = {(call.answer[0], call.answer[1]): call for call in commits if call.kind == "ok"}
    # What a plain load saw while there were faults may never have been kept; what was won was.
    real = {(0, 0), *made}
    conflicts = [call for call in commits if call.error == "Conflict" and _expected(call) in real]
    refused = [call for call in conflicts if not _seen_early(made.get(_expected(call)), call, faults)]
    for call in refused:
        expected = _expected(call)
        if possible.get(expected, NEVER) > call.ended:
            yield Violation("I8", key, f"told of a conflict at {expected}, where nobody else came", (call,))
    look = last_look(looks)
    if look is not None:
        won_at_last = [call for call in commits if call.kind == "ok"]
        yield from _last_winner(key, won_at_last, refused, look)


def _seen_early(maker: Call | None, refused: Call, faults: Faults) -> bool:
    """Whether only a plain load can have told of the revision: on the wrong side of a split, before it was kept."""
    return maker is not None and maker.end > refused.start and faults.touch(maker.start, refused.ended)


def _expected(call: Call) -> tuple[int, int]:
    # Before it is created a session has no epoch yet, or that of the life before.
    return (call.asked[0] if call.asked[1] else 0, call.asked[1])


def _last_winner(key: str, won: Sequence[Call], refused: Sequence[Call], look: dict[str, Any]) -> Iterator[Violation]:
    number = look["revision"][1]
    for call in won:
        if call.answer[1] > number:
            yield Violation(
                "I1", key, f"revision {call.answer[1]} was acknowledged; at the end it is {number}", (call,)
            )
            return
        if call.answer[1] == number and look["state"].get("v") != call.asked[2]:
            yield Violation("I1", key, f"at revision {number} stands another value than its winner's", (call,))
            return
    for call in refused:
        if call.asked[1] >= number:
            text = f"told of a conflict at revision {call.asked[1]}; at the end it is still {number}"
            yield Violation("I8", key, text, (call,))
            return
