"""Is there an order of these calls, each at one moment between its beginning and its end, that explains all answers?

Wing and Gong's search with Lowe's cache of what was tried: (calls placed so far, state).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from tests.faults.checking.calls import END, NEVER, START, Call

IMPOSSIBLE: Final = object()
"""What a model's step gives where the call cannot have been answered so in that state."""
Step = Callable[[Any, Call], Any]


def linearizable(calls: Sequence[Call], step: Step, initial: Any = None, *, most: int = 30_000) -> bool | None:
    """Whether such an order exists; None if that was not found out within `most` steps.

    A call that was not answered may stand anywhere after its beginning, or nowhere.

    Args:
        step: (state, call) -> the state after it, or IMPOSSIBLE. States are hashable.
    """
    if _as_answered(calls, step, initial):
        return True
    ordered = sorted(calls, key=START)
    starts, ends = list(map(START, ordered)), list(map(END, ordered))
    open_ones = sum(1 << index for index, end in enumerate(ends) if end < NEVER)
    if not open_ones:
        return True
    # Each entry: calls placed, those of them that were answered left to place, state.
    waiting, tried, steps = [(0, open_ones, initial)], {(0, initial)}, 0
    while waiting:
        placed, left, state = waiting.pop()
        for index in _next(starts, ends, placed):
            after = step(state, ordered[index])
            steps += 1
            if after is IMPOSSIBLE:
                continue
            rest = left & ~(1 << index)
            if not rest:
                return True
            now = (placed | 1 << index, after)
            if now not in tried:
                tried.add(now)
                waiting.append((now[0], rest, after))
        if steps > most:
            return None
    return False


def _as_answered(calls: Sequence[Call], step: Step, state: Any) -> bool:
    """Whether the order in which they were answered is one already, those that were not left out: mostly it is."""
    for call in sorted((call for call in calls if call.end < NEVER), key=END):
        state = step(state, call)
        if state is IMPOSSIBLE:
            return False
    return True


def _next(starts: Sequence[int], ends: Sequence[int], placed: int) -> list[int]:
    """Calls that may come next: not placed, and begun before any other one that is not placed had ended."""
    found: list[int] = []
    soonest = NEVER
    # Most of those before are placed: from the first that is not.
    for index in range((~placed & (placed + 1)).bit_length() - 1, len(starts)):
        if placed >> index & 1:
            continue
        if starts[index] > soonest:
            break
        found.append(index)
        if ends[index] < soonest:
            soonest = ends[index]
    if len(found) > 1:
        # The stack takes the last first: the one that ended first is the likeliest.
        found.sort(key=ends.__getitem__, reverse=True)
    return found
