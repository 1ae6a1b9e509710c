"""Numbers and fields: increments, fields of one writer each, values that are new once, one yes per interval."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from gridsession import Snapshot
from tests.faults.workloads._caller import FAILED, Caller, Workload
from tests.faults.workloads._keys import key_of

EVERY: Final = 1.0
"""Seconds of the workload `allow`."""
_MESSAGES: Final = 30


class Increments(Workload):
    """`increment` by one, and reads."""

    name: ClassVar[str] = "increment"

    async def step(self, caller: Caller) -> None:
        """One increment or read."""
        session = caller.store.session(key_of(caller, self.name, slots=8, most=200))
        if caller.random.random() < 0.15:
            await caller.call("get", session.id, "n", session.get("n", 0))
        else:
            await caller.call("increment", session.id, 1, session.increment("n"))


class DisjointFields(Workload):
    """Each caller counts in a field of its own, in sessions all share; the answer is the whole session."""

    name: ClassVar[str] = "fields"

    async def step(self, caller: Caller) -> None:
        """One update."""
        session = caller.store.session(key_of(caller, self.name, slots=6, most=60))
        field, number = f"p{caller.process}", caller.run.token()
        work = session.update({field: number})
        await caller.call("update", session.id, [field, number], work, _fields)


class Remembered(Workload):
    """Message ids that arrive several times, at several callers."""

    name: ClassVar[str] = "remember"

    async def step(self, caller: Caller) -> None:
        """Is it new?"""
        session = caller.store.session(key_of(caller, self.name, slots=8, most=_MESSAGES))
        message = caller.random.randrange(_MESSAGES)
        await caller.call("remember", session.id, message, session.remember(message, keep=1_000))

    async def look(self, caller: Caller, key: str, number: int) -> None:
        """Ask for every message, and for one that never came: asking remembers it, so the second look hears no."""
        session = caller.store.session(key)

        async def known() -> dict[str, Any]:
            new = [message for message in range(_MESSAGES + 1) if await session.remember(message, keep=1_000)]
            return {"pass": number, "ttl": await session.ttl(), "exists": True, "new": new}

        await caller.call("final", key, number, known())


class Allowed(Workload):
    """At most one yes per second, whoever asks."""

    name: ClassVar[str] = "allow"
    share: ClassVar[int] = 1

    async def step(self, caller: Caller) -> None:
        """May I?"""
        session = caller.store.session(key_of(caller, self.name, slots=4, most=2_000))
        await caller.call("allow", session.id, EVERY, session.allow(every=EVERY))


class Taken(Workload):
    """A coin is put where there is none, and taken: exactly one gets it."""

    name: ClassVar[str] = "take"

    async def step(self, caller: Caller) -> None:
        """Put one or take one."""
        session = caller.store.session(key_of(caller, self.name, slots=10, most=10))
        if caller.random.random() < 0.5:
            coin = caller.run.token()
            await caller.call("setdefault", session.id, coin, session.setdefault("r", coin))
        else:
            await caller.call("take", session.id, None, session.take("r"))


class CompareAndSet(Workload):
    """A register, changed only by who knows what it holds."""

    name: ClassVar[str] = "cas"

    async def step(self, caller: Caller) -> None:
        """Change it from what this caller last saw, or look."""
        session = caller.store.session(key_of(caller, self.name, slots=10, most=10))
        seen: dict[str, int] = caller.memory.setdefault("seen", {})
        kind, new, known = caller.random.random(), caller.run.token(), seen.get(session.id)
        if kind < 0.15:
            found = await caller.call("get", session.id, "r", session.get("r"))
        elif known is None or kind < 0.3:
            found = await caller.call("setdefault", session.id, new, session.setdefault("r", new))
        else:
            changed = await caller.call("cas", session.id, [known, new], session.compare_and_set("r", known, new))
            found = new if changed is True else None
        if found is not None and found is not FAILED:
            seen[session.id] = found
        else:
            seen.pop(session.id, None)


def _fields(snapshot: Snapshot) -> list[Any]:
    return [*snapshot.revision, dict(snapshot)]
