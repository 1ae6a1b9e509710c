"""All that was read, judged: each key by what its workload promises, and by what every call does."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Final

from tests.faults.checking import counters, lists, lives, registers, turns, whole
from tests.faults.checking.calls import Call, Histories, Violation

Judged = tuple[list[Violation], Counter[str]]
"""What was found, and calls by `workload kind` with what was not judged."""
_SEEN: Final = frozenset({"final", "copies"})
_KIND: Final = attrgetter("kind")


def judged(found: Histories) -> Judged:
    """All violations in what was read, and how many calls of each kind there were."""
    counts = Counter[str]()
    return list(_violations(found, counts)), counts


def _violations(found: Histories, counts: Counter[str]) -> Iterator[Violation]:
    limit = whole.least_limit(found)
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for key, calls in found.keys.items():
        workload = key.partition(":")[0]
        kinds[workload].update(map(_KIND, calls))
        # What most calls are not is looked for once, here: a pass over all of them costs each judge much of its time.
        seen = [call for call in calls if call.f in _SEEN and call.kind == "ok"]
        looks = [call for call in seen if call.f == "final"]
        odd = [call for call in calls if call.error is not None or call.ended - call.start > limit]
        try:
            yield from _judge(key, workload, calls, looks, found, counts)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            yield Violation("I4", key, f"an answer of another kind than was asked for: {error!r}", tuple(calls[:3]))
        yield from whole.crosstalk(key, odd)
        yield from whole.liveness(key, odd, found)
        if workload not in ("remember", "expiry", "expired"):
            yield from whole.looks(key, looks, found)
        yield from whole.copies(key, seen)
    for text in found.nonsense:
        yield Violation("I4", "", f"an answer of another kind than was asked for: {text}")
    if found.hung:
        yield Violation("I16", "", f"{found.hung} tasks did not end")
    for workload, of_workload in kinds.items():
        for kind, count in of_workload.items():
            counts[f"{workload} {kind}"] += count


def _judge(
    key: str, workload: str, calls: Sequence[Call], looks: Sequence[Call], found: Histories, counts: Counter[str]
) -> Iterator[Violation]:
    faults = found.faults
    if workload in ("append", "globals", "turn", "run", "beside"):
        yield from lists.judge(key, calls, looks, faults)
    if workload in ("turn", "lease", "beside"):
        yield from turns.fencing(key, calls)
        yield from turns.overlaps(key, calls)
    if workload in ("increment", "beside"):
        yield from counters.increments(key, calls, looks, faults)
    if workload in ("cas", "take", "recreate"):
        yield from registers.judge(key, calls, faults, counts)
    match workload:
        case "fields":
            yield from counters.fields(key, calls, looks, faults)
        case "remember":
            yield from counters.remembered(key, calls, looks)
        case "allow":
            yield from counters.allowed(key, calls, faults)
        case "revision":
            yield from registers.winners(key, calls, looks, faults)
        case "lease":
            yield from turns.written(key, calls, looks)
        case "expired":
            yield from lives.told(key, calls, faults, found.listened)
        case "expiry":
            yield from lives.expiry(key, calls, faults)
