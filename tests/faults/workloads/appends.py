"""Lists to which each update adds a token nobody else uses: the list tells what took effect, and in what order."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from gridsession import Snapshot
from gridsession import operations as op
from tests.faults.workloads._caller import FAILED, Caller, Workload
from tests.faults.workloads._keys import full, key_of

_SLOTS: Final = 24
"""Lists that grow at the same time: one session takes a few hundred changes a second, no more."""
_LONGEST: Final = 100
_UNBOUNDED: Final = 10**8


class Appends(Workload):
    """Every tenth call answers with the whole list, every tenth reads it."""

    name: ClassVar[str] = "append"
    share: ClassVar[int] = 8

    async def step(self, caller: Caller) -> None:
        """One append or read."""
        session = caller.store.session(key_of(caller, self.name, slots=_SLOTS, most=_UNBOUNDED))
        kind, token = caller.random.random(), caller.run.token()
        length = 0
        if kind < 0.1:
            await caller.call("read", session.id, None, session.load(), _seen)
        elif kind < 0.2:
            work = session.commit(op.append("log", token))
            found = await caller.call("commit", session.id, token, work, _seen)
            length = 0 if found is FAILED else len(found.get("log", ()))
        else:
            found = await caller.call("append", session.id, token, session.append("log", token))
            length = 0 if found is FAILED else found
        if length >= _LONGEST:
            full(caller)


class GlobalAppends(Workload):
    """The same with globals; half of the reads ask the local copy."""

    name: ClassVar[str] = "globals"
    share: ClassVar[int] = 2

    async def step(self, caller: Caller) -> None:
        """One append or read."""
        key, kind, known = (
            key_of(caller, self.name, slots=6, most=_UNBOUNDED),
            caller.random.random(),
            caller.store.globals,
        )
        name, token = key.partition(":")[2], caller.run.token()
        if kind < 0.15:
            await caller.call("read", key, None, known.get(name, [], fresh=True), _bare)
        elif kind < 0.3:
            await caller.call("copy", key, None, known.get(name, []), _bare)
        else:
            found = await caller.call("append", key, token, known.append(name, token))
            if found is not FAILED and found >= _LONGEST:
                full(caller)

    async def look(self, caller: Caller, key: str, number: int) -> None:
        """The record's value; a global has no turn."""
        name, known = key.partition(":")[2], caller.store.globals

        async def whole() -> dict[str, Any]:
            # A touch is confirmed by a second member, a read is not.
            exists, ttl = await known.touch(name), await known.ttl(name)
            log = await known.get(name, [], fresh=True)
            return {"pass": number, "ttl": ttl, "exists": exists, "state": {"log": log}}

        await caller.call("final", key, number, whole())


def _seen(snapshot: Snapshot) -> list[Any]:
    """[epoch, revision, the list]."""
    return [*snapshot.revision, snapshot.get("log", [])]


def _bare(log: list[int]) -> list[Any]:
    return [None, None, log]
