"""Sessions whose end is told: each to one of all who listen, acknowledged once, also if who was told goes away."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, ClassVar, Final

from gridsession import ExpiredSession
from gridsession import operations as op
from tests.faults.workloads._caller import FAILED, Caller, Workload

LIVES: Final = 1.0
"""Seconds that a session of this workload lives."""
CLAIM: Final = 3.0
"""Seconds after which one that was told of and not acknowledged is told of again."""


class Expired(Workload):
    """In a namespace of its own: one caller of each client listens, the others make sessions and leave them."""

    name: ClassVar[str] = "expired"
    share: ClassVar[int] = 2

    async def step(self, caller: Caller) -> None:
        """Some seconds of listening, or one session with one or two lives."""
        store = await caller.run.announced()
        if "listens" not in caller.memory:
            caller.memory["listens"] = not caller.run.listening
            caller.run.listening = True
        if caller.memory["listens"]:
            await self.listen(caller, until_quiet=False)
            return
        session, token = store.session(f"{self.name}:{caller.run.token()}"), caller.run.token()
        work = session.set("v", token, ttl=LIVES)
        if await caller.call("expiring", session.id, [LIVES, token], work, _nothing) is FAILED:
            return
        if caller.random.random() < 0.05:
            # A message that comes before anyone was told: what expired is kept beside the new session.
            await asyncio.sleep(LIVES * 1.02)
            token = caller.run.token()
            again = session.commit(op.set("v", token), if_absent=True, ttl=LIVES)
            await caller.call("expiring", session.id, [LIVES, token], again, _nothing)
        await asyncio.sleep(caller.random.random() * 0.05)

    async def listen(self, caller: Caller, *, until_quiet: bool) -> None:
        """Take and acknowledge what has expired, until it is quiet or the run stops; now and then leave one."""
        store, stopped = await caller.run.announced(), asyncio.ensure_future(caller.run.stopping.wait())
        async with contextlib.aclosing(store.expired(claim=CLAIM)) as feed:
            while True:
                following = asyncio.ensure_future(anext(feed))
                ends = {following} if until_quiet else {following, stopped}
                try:
                    await asyncio.wait(ends, timeout=caller.run.quiet, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    # Also when this is cancelled: a feed cannot be closed while somebody waits for its next.
                    if not following.done():
                        following.cancel()
                        await asyncio.wait({following})
                if following.cancelled():
                    break
                expired = following.result()
                if caller.random.random() < caller.run.leave and not until_quiet:
                    # Left without a word: it is told of again.
                    break
                token = expired.state.get("v")
                await caller.call("told", expired.id, token, expired.acknowledge(), _acknowledged(expired, token))
        stopped.cancel()

    async def look(self, caller: Caller, key: str, number: int) -> None:
        """It must be gone."""
        session = (await caller.run.announced()).session(key)

        async def gone() -> dict[str, Any]:
            return {"pass": number, "exists": await session.exists()}

        await caller.call("final", key, number, gone())


def _acknowledged(expired: ExpiredSession, token: Any) -> Any:
    late, attempt = round(expired.late, 3), expired.attempt
    return lambda accepted: [token, accepted, late, attempt]


def _nothing(_: object) -> None:
    return None
