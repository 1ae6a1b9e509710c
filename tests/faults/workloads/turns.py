"""Turns: exclusive, optimistic, past their lease, and beside verbs that do not wait for them."""

from __future__ import annotations

import asyncio
import time
from typing import Any, ClassVar, Final

from gridsession import Turn
from tests.faults.workloads._caller import FAILED, Caller, Workload
from tests.faults.workloads._keys import full, key_of

_LEASE: Final = 2.0
"""Seconds; a holder that dies is passed over after it."""
_SHORT_LEASE: Final = 0.15
_LONGEST: Final = 60


class Turns(Workload):
    """A list read, changed and written back by whoever holds the session alone."""

    name: ClassVar[str] = "turn"
    share: ClassVar[int] = 4
    f_limits: ClassVar[dict[str, float]] = {"turn": 34.0}

    async def step(self, caller: Caller) -> None:
        """One turn."""
        key, token = key_of(caller, self.name, slots=8, most=1_000), caller.run.token()
        await one_turn(caller, key, token)


async def one_turn(caller: Caller, key: str, token: int) -> None:
    """A turn that adds a token to the list; what it read and when it held the session is recorded."""

    async def work() -> list[Any]:
        async with caller.store.turn(key, lease=_LEASE) as turn:
            entered, found = time.monotonic_ns(), turn.revision
            log = turn.state.setdefault("log", [])
            seen = _seen(log)
            if caller.random.random() < 0.2:
                await asyncio.sleep(caller.random.random() * 0.01)
            log.append(token)
            left = time.monotonic_ns()
        return [*found, *turn.revision, entered, left, *seen]

    answer = await caller.call("turn", key, token, work())
    if answer is not FAILED and answer[6] >= _LONGEST:
        full(caller)


class Runs(Workload):
    """The same without holding: the handler runs again when another was quicker."""

    name: ClassVar[str] = "run"
    f_limits: ClassVar[dict[str, float]] = {"run": 34.0}

    async def step(self, caller: Caller) -> None:
        """One run."""
        key, token = key_of(caller, self.name, slots=8, most=1_000), caller.run.token()

        async def handler(turn: Turn) -> list[int | None]:
            log = turn.state.setdefault("log", [])
            seen = _seen(log)
            log.append(token)
            return seen

        answer = await caller.call("run", key, token, caller.store.run(key, handler, wait=5))
        if answer is not FAILED and answer[0] >= _LONGEST:
            full(caller)


class Leases(Workload):
    """Holders that are away for longer than their lease, and those who take over.

    Each writes a field of its own: only the fencing token stands between a late holder and the session.
    """

    name: ClassVar[str] = "lease"
    share: ClassVar[int] = 3
    f_limits: ClassVar[dict[str, float]] = {"hold": 34.0}

    async def step(self, caller: Caller) -> None:
        """One turn; sometimes the whole process stops in it, as a long pause of its interpreter would do."""
        key, token = key_of(caller, self.name, slots=2, most=20), caller.run.token()
        away = caller.random.random() < caller.run.away

        async def work() -> list[Any]:
            async with caller.store.turn(key, lease=_SHORT_LEASE) as turn:
                entered, found = time.monotonic_ns(), turn.revision
                turn.state[f"t{token}"] = token
                if away:
                    # Nothing runs in this process now, its renewals neither.
                    time.sleep(_SHORT_LEASE * 1.5)  # noqa: ASYNC251
                    await asyncio.sleep(_SHORT_LEASE / 3)
                left = time.monotonic_ns()
            return [*found, *turn.revision, entered, left, away]

        await caller.call("hold", key, token, work())
        await asyncio.sleep(caller.random.random() * _SHORT_LEASE / 2)


class TurnsBesideVerbs(Workload):
    """A turn's list and a counter that verbs change meanwhile; some verbs change the list, and the turn must notice."""

    name: ClassVar[str] = "beside"
    share: ClassVar[int] = 3
    f_limits: ClassVar[dict[str, float]] = {"turn": 34.0}

    async def step(self, caller: Caller) -> None:
        """One turn or one verb."""
        key, token = key_of(caller, self.name, slots=6, most=1_000), caller.run.token()
        kind, session = caller.random.random(), caller.store.session(key)
        if kind < 0.4:
            await one_turn(caller, key, token)
        elif kind < 0.85:
            await caller.call("increment", key, 1, session.increment("n"))
        else:
            found = await caller.call("append", key, token, session.append("log", token))
            if found is not FAILED and found >= _LONGEST:
                full(caller)


def _seen(log: list[int]) -> list[int | None]:
    """How long the list was, and its last element: both stand at a known place of the final list."""
    return [len(log), log[-1] if log else None]
