"""Is there an order of these calls, each at one moment between its beginning and its end, that explains all answers?

Wing and Gong's search with Lowe's cache of what was tried: (calls placed so far, state).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from tests.faults.checking.calls import NEVER, Call

IMPOSSIBLE: Final = object()
"""What a model's step gives where the call cannot have been answered so in that state."""
Step = Callable[[Any, Call], Any]


def linearizable(calls: Sequence[Call], step: Step, initial: Any = None, *, most: int = 30_000) -> bool | None:
    """Whether such an order exists; None if that was not found out within `most` steps.

    A call that was not answered may stand anywhere after its beginning, or nowhere.

    Args:
        step: (state, call) -> the state after it, or IMPOSSIBLE. States are hashable.
    """
    ordered = sorted(calls, key=lambda call: call.start)
    open_ones = sum(1 << index for index, call in enumerate(ordered) if call.end < NEVER)
    if not open_ones:
        return True
    # Each entry: calls placed, those of them that were answered left to place, state.
    waiting, tried, steps = [(0, open_ones, initial)], {(0, initial)}, 0
    while waiting:
        placed, left, state = waiting.pop()
        for index in _next(ordered, placed):
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


def _next(ordered: Sequence[Call], placed: int) -> list[int]:
    """Calls that may come next: not placed, and begun before any other one that is not placed had ended."""
    found: list[int] = []
    soonest = NEVER
    for index, call in enumerate(ordered):
        if placed >> index & 1:
            continue
        if call.start > soonest:
            break
        found.append(index)
        if call.end < soonest:
            soonest = call.end
    # The stack takes the last first: the one that ended first is the likeliest.
    found.sort(key=lambda index: -ordered[index].end)
    return found
