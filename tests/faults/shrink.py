"""Makes a failing plan smaller: drops episodes, then faults, then workloads, as long as the run still fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from tests.faults.lab import Setup
from tests.faults.schedule import Episode

Fails = Callable[[Setup, list[Episode]], bool]
T = TypeVar("T")


def shrink(
    setup: Setup, episodes: list[Episode], workloads: Sequence[str], fails: Fails, *, tries: int
) -> tuple[Setup, list[Episode]]:
    """The smallest plan found that still fails. A fault's moment is luck, so each try may miss what it looks for.

    Args:
        setup: of the run that failed.
        episodes: its plan.
        workloads: by name.
        fails: carries a plan out; whether it fails.
        tries: how many runs at most.
    """
    left = [tries]

    def still(candidate_setup: Setup, candidate: list[Episode]) -> bool:
        if left[0] <= 0 or not candidate:
            return False
        left[0] -= 1
        return fails(candidate_setup, candidate)

    episodes = _fewer(episodes, lambda some: still(setup, some))
    for number, episode in enumerate(episodes):
        faults = _fewer(
            episode.faults,
            lambda some, number=number, episode=episode: still(  # type: ignore[misc]
                setup, [*episodes[:number], Episode(some, episode.calm), *episodes[number + 1 :]]
            ),
        )
        episodes[number] = Episode(faults, episode.calm)
    kept = _fewer(list(workloads), lambda some: still(replace(setup, workloads=",".join(some)), episodes))
    return replace(setup, workloads=",".join(kept)), episodes


def _fewer(items: list[T], fails: Callable[[list[T]], bool]) -> list[T]:
    """Delta debugging: half of what is left out at a time, then less."""
    size = max(1, len(items) // 2)
    while len(items) > 1:
        for start in range(0, len(items), size):
            rest = items[:start] + items[start + size :]
            if rest and fails(rest):
                items = rest
                size = max(1, min(size, len(items) // 2))
                break
        else:
            if size == 1:
                break
            size //= 2
    return items
