"""Sessions that come and go: guarded by a revision, deleted and made again, expired."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Final

from gridsession import Revision, Snapshot
from gridsession import operations as op
from tests.faults.workloads._caller import FAILED, Caller, Workload
from tests.faults.workloads._keys import key_of

SHORT: Final = 1.0
"""Seconds that a session of the workload `expiry` lives."""


class ExpectedRevisions(Workload):
    """Commits that hold only if nothing changed: of those that expect a revision, one wins."""

    name: ClassVar[str] = "revision"

    async def step(self, caller: Caller) -> None:
        """One commit on top of what this caller last saw."""
        session = caller.store.session(key_of(caller, self.name, slots=6, most=30))
        known: dict[str, Revision] = caller.memory.setdefault("known", {})
        expected = known.get(session.id)
        if expected is None:
            snapshot = await caller.call("load", session.id, None, session.load(), _revision)
            if snapshot is not FAILED:
                known[session.id] = snapshot.revision
            return
        token, fresh = caller.run.token(), expected.number == 0
        work = session.commit(op.set("v", token), if_absent=fresh, if_revision=None if fresh else Revision(*expected))
        snapshot = await caller.call("expect", session.id, [*expected, token], work, _revision)
        if snapshot is FAILED:
            del known[session.id]
        else:
            known[session.id] = snapshot.revision


class Recreated(Workload):
    """Created where there is none, deleted, created again; and read."""

    name: ClassVar[str] = "recreate"

    async def step(self, caller: Caller) -> None:
        """One of them."""
        session, kind = caller.store.session(key_of(caller, self.name, slots=10, most=10)), caller.random.random()
        if kind < 0.4:
            token = caller.run.token()
            work = session.commit(op.set("r", token), if_absent=True)
            await caller.call("create", session.id, token, work, _revision)
        elif kind < 0.75:
            await caller.call("delete", session.id, None, session.delete())
        else:
            await caller.call("load", session.id, None, session.load(), _register)


class Expiring(Workload):
    """Each session is one caller's: written, perhaps touched, and looked at until it is gone."""

    name: ClassVar[str] = "expiry"
    share: ClassVar[int] = 4

    async def step(self, caller: Caller) -> None:
        """One session's life."""
        session = caller.store.session(f"{self.name}:{caller.run.token()}")
        if await caller.call("write", session.id, SHORT, session.set("v", 1, ttl=SHORT)) is FAILED:
            return
        touch = caller.random.random() < 0.3
        for _ in range(12):
            await asyncio.sleep(caller.random.random() * SHORT / 4)
            if touch and caller.random.random() < 0.3:
                touch = False
                await caller.call("touch", session.id, SHORT, session.touch(SHORT))
                continue
            found = await caller.call("load", session.id, None, session.load(), _exists)
            if (found is not FAILED and not found.exists) or caller.run.stopping.is_set():
                return

    async def look(self, caller: Caller, key: str, number: int) -> None:
        """It must be gone; and nothing is made by looking."""

        async def gone() -> dict[str, Any]:
            return {"pass": number, "exists": await caller.store.session(key).exists()}

        await caller.call("final", key, number, gone())


def _revision(snapshot: Snapshot) -> list[int]:
    return [*snapshot.revision]


def _register(snapshot: Snapshot) -> Any:
    return [*snapshot.revision, snapshot.get("r")] if snapshot.exists else None


def _exists(snapshot: Snapshot) -> bool:
    return snapshot.exists
