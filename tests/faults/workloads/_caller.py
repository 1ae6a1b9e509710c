"""What a workload is, and the caller that runs it: one of many tasks, recording each call it makes."""

from __future__ import annotations

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from gridsession import SessionStore
from gridsession.errors import (
    DeadlineExceeded,
    GridSessionError,
    InvalidInput,
    OutcomeUnknown,
    Refused,
    Unavailable,
    UsageError,
)
from tests.faults.history import History

FAILED: Final = object()
"""What `Caller.call` gives where there was no answer; what became of the call is recorded."""
_DEFINITE: Final = (Refused, Unavailable, InvalidInput, UsageError)
_NONSENSE: Final = (AttributeError, LookupError, TypeError, ValueError)
"""What a workload stumbles over when an answer is of another kind than was asked for."""
_PAUSE: Final = 0.02
"""Seconds before the next call after one that failed: no tight loop against a place that refuses."""
PER_CLIENT: Final = 10**9
"""Tokens of one client; client n's begin at n times this."""


@dataclass(slots=True)
class Run:
    """What the callers of one client share.

    Attributes:
        client: this client's number, no other's in the same run; processes and tokens are numbered from it.
        period: seconds until all clients go over to fresh sessions, in step, because they share the clock; longer
            than a partition, so that sessions live through one.
        cancel: share of steps that are cancelled on their way.
        announced: gives the store of another namespace, whose sessions' end is told; it is opened when first asked for.
        leave: share of expired sessions that who is told of leaves without a word.
        away: share of the holders of short leases that are away for longer than theirs.
        quiet: seconds without anything told after which nothing more is expected; longer than a claim.
        listening: whether one of this client's callers listens to it.
    """

    store: SessionStore
    history: History
    client: int
    seed: int
    period: float = 30.0
    cancel: float = 0.0
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    announced: Callable[[], Awaitable[SessionStore]] = None  # type: ignore[assignment]  # set where it is opened
    listening: bool = False
    leave: float = 0.02
    away: float = 0.03
    quiet: float = 10.0
    counts: dict[str, int] = field(default_factory=lambda: {"ok": 0, "fail": 0, "info": 0})
    _token: int = 0

    def token(self) -> int:
        """A number nobody else uses in this run."""
        self._token += 1
        return self.client * PER_CLIENT + self._token

    @property
    def generation(self) -> int:
        """The same number in all clients; rises every period."""
        return int(time.monotonic() / self.period)


class Caller:
    """One task that calls and waits for the answer, again and again."""

    def __init__(self, run: Run, workload: Workload, number: int) -> None:
        self.run = run
        self.store = run.store
        self.number = number
        self.process = run.client * 1_000 + number
        self.random = random.Random(f"{run.seed} {run.client} {number}")
        self.memory: dict[str, Any] = {}
        self._workload = workload

    async def work(self) -> None:
        """Step after step until the run stops; a step under way is ended by its own calls' deadlines."""
        stopping, cancel = self.run.stopping, self.run.cancel
        while not stopping.is_set():
            try:
                if cancel and self.random.random() < cancel:
                    await self._cancelled_step()
                else:
                    await self._workload.step(self)
            except _NONSENSE as error:
                self.run.history.note("nonsense", f"{self._workload.name}: {error!r}")
            # A driver without I/O would never let anybody else run.
            await asyncio.sleep(0)

    async def call(
        self, f: str, key: str, value: Any, work: Awaitable[Any], shown: Callable[[Any], Any] | None = None
    ) -> Any:
        """Record one call's beginning and end; its answer, or FAILED.

        Args:
            shown: what is recorded of the answer; None = the answer itself.
        """
        history, process = self.run.history, self.process
        op = history.invoke(process, f, key, value)
        try:
            answer = await work
        except BaseException as error:
            kind = "fail" if isinstance(error, _DEFINITE) else "info"
            history.end(op, kind, process, f, key, None, _named(error))
            self.run.counts[kind] += 1
            if not isinstance(error, Exception):
                raise
            await asyncio.sleep(_PAUSE)
            return FAILED
        history.end(op, "ok", process, f, key, answer if shown is None else shown(answer))
        self.run.counts["ok"] += 1
        return answer

    async def _cancelled_step(self) -> None:
        step = asyncio.ensure_future(self._workload.step(self))
        await asyncio.wait({step}, timeout=self.random.random() * 0.01)
        step.cancel()
        # Not awaited itself: its cancellation is not ours.
        await asyncio.wait({step})
        if not step.cancelled():
            step.result()


class Workload(ABC):
    """One way of using sessions, whose history can be judged afterwards.

    Attributes:
        name: of the workload, and platform of its sessions.
        share: how many of the client's callers it gets, beside the others.
        f_limits: seconds a call of that name may take beyond the policy's deadline.
    """

    name: ClassVar[str]
    share: ClassVar[int] = 2
    f_limits: ClassVar[Mapping[str, float]] = {}

    @abstractmethod
    async def step(self, caller: Caller) -> None:
        """One or a few calls."""

    async def look(self, caller: Caller, key: str, number: int) -> None:
        """The look at a key when all is over: twice or more, numbered from 1."""
        session = caller.store.session(key)

        async def whole() -> dict[str, Any]:
            # A turn's read is confirmed by a second member, a plain load's is not.
            async with caller.store.turn(key) as turn:
                seen = {"exists": turn.exists, "revision": list(turn.revision), "state": dict(turn.state)}
            return {"pass": number, "ttl": await session.ttl(), **seen}

        await caller.call("final", key, number, whole())


def _named(error: BaseException) -> str:
    """An error's name and, where no driver of ours promises such an error, its text."""
    name = type(error).__name__
    if isinstance(error, (*_DEFINITE, OutcomeUnknown, DeadlineExceeded, asyncio.CancelledError)):
        return name
    if isinstance(error, GridSessionError):
        return f"{name}: {error}"
    return f"unexpected {name}: {error}"
