"""What every handle of a store shares: one driver, one space, one policy; and replies turned into answers or errors."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from typing import Final, NoReturn

from gridsession._commands import NEVER, Command, Load, Touch
from gridsession._identity import Space
from gridsession._reply import Reply, Status
from gridsession._waiting import Waits
from gridsession.drivers import Driver
from gridsession.errors import (
    Busy,
    Conflict,
    CorruptRecord,
    GridSessionError,
    Leased,
    LeaseLost,
    SessionAbsent,
    StoreClosed,
    TooLarge,
    TooLate,
    Unsupported,
    WrongLoop,
    WrongType,
)
from gridsession.hooks import Hooks
from gridsession.policy import Policy, lease_milliseconds, milliseconds

_OK: Final = Status.OK
"""Looked up once: before Python 3.12 that takes longer than to make a tuple."""
_REFUSALS: Final[dict[Status, tuple[type[GridSessionError], str]]] = {
    Status.CONFLICT: (Conflict, "changed since it was read; read it again and decide again"),
    Status.ABSENT: (SessionAbsent, "does not exist"),
    Status.LEASED: (Leased, "is held by another turn"),
    Status.LEASE_LOST: (LeaseLost, "is no longer held by this turn: its lease ended; nothing was written"),
    Status.TOO_LATE: (TooLate, "was not changed: the command arrived after its deadline"),
    Status.BUSY: (Busy, "remembers as many recent changes or queues as many waiters as it may; try again later"),
    Status.TOO_LARGE: (TooLarge, "would pass a limit (bytes of the record, number of fields, length of a name)"),
    Status.WRONG_TYPE: (WrongType, "has another kind of field there, or the number would be out of range"),
    Status.UNSUPPORTED: (Unsupported, "was sent a command that the place does not know; update its members"),
    Status.MALFORMED: (Unsupported, "was sent a command that the place finds malformed"),
    Status.CORRUPT: (CorruptRecord, "is stored as a record that cannot be read; it was left as it is"),
}


@dataclass(slots=True)
class Link:
    """One store's way to its records, shared by its handles; `loop` is None while the store is not open.

    `announce` says whether its commits ask that the end of their sessions be told. `lease` and `wait` are the policy's,
    in ms.
    """

    driver: Driver
    space: Space
    policy: Policy
    hooks: Hooks
    loop: asyncio.AbstractEventLoop | None = None
    announce: bool = False
    created_ttl: int = field(init=False)
    created_max_lifetime: int = field(init=False)
    lease: int = field(init=False)
    wait: int = field(init=False)
    waits: Waits = field(default_factory=Waits)
    _deadline: int = field(init=False)
    _patience: float = field(init=False)

    def __post_init__(self) -> None:
        policy = self.policy
        self.created_ttl = NEVER if policy.ttl is None else milliseconds(policy.ttl, "ttl")
        self.created_max_lifetime = NEVER if policy.max_lifetime is None else milliseconds(policy.max_lifetime, "life")
        self.lease, self.wait = lease_milliseconds(policy.lease), milliseconds(policy.wait, "wait", zero=True)
        self._deadline = milliseconds(policy.deadline, "deadline")
        self._patience = self._deadline / 1000

    def not_after(self) -> int:
        """When a command sent now must have been applied, ms of the place's clock."""
        return self.driver.not_after(self._deadline)

    async def execute(self, session_id: str, command: Command) -> Reply:
        """Have a command applied; refusals are raised, absence is not.

        Raises:
            Refused: a definite no; nothing changed.
            CorruptRecord: what is stored cannot be read.
            StoreClosed: the store is not open.
            WrongLoop: called from another loop or process than the one the store was opened in.
        """
        began = self.check().time()
        reply = await self.driver.execute(self.space, session_id, command, deadline=self._patience)
        if reply.status is _OK:
            return reply
        if reply.status is Status.BUSY:
            reply = await self._again(session_id, command, reply, began + self._patience)
        if reply.status is not _OK and (reply.status is not Status.ABSENT or reply.index >= 0):
            refuse(reply)
        return reply

    async def ask(self, session_id: str, command: Command, *, within: float | None = None) -> Reply:
        """Have a command applied; whatever the reply says is returned.

        Args:
            within: seconds this may take, if that is less than the policy's deadline.

        Raises:
            StoreClosed: the store is not open.
            WrongLoop: called from another loop or process than the one the store was opened in.
        """
        began = self.check().time()
        deadline = self._patience if within is None else min(within, self._patience)
        reply = await self.driver.execute(self.space, session_id, command, deadline=deadline)
        if reply.status is Status.BUSY:
            return await self._again(session_id, command, reply, began + deadline)
        return reply

    async def _again(self, session_id: str, command: Command, busy: Reply, ends: float) -> Reply:
        """Go on asking a place that was busy, at most until `ends` of the loop's clock."""
        time, pause = asyncio.get_running_loop().time, 0.005
        while (deadline := ends - time() - pause) > 0:
            # Nothing was applied: the same command again, until the place forgets older ones.
            await asyncio.sleep(pause)
            reply = await self.driver.execute(self.space, session_id, command, deadline=deadline)
            if reply.status is Status.TOO_LATE:
                # It came too late for having been told busy; that is what its caller should know.
                return busy
            if reply.status is not Status.BUSY:
                return reply
            busy, pause = reply, min(pause * 2, 0.2)
        return busy

    def check(self) -> asyncio.AbstractEventLoop:
        """The store's loop; raises unless the store is open, on the loop that runs."""
        loop = self.loop
        if loop is None:
            raise StoreClosed("the store is closed, or was not opened: use `async with SessionStore.open(...)`")
        # One system call: asyncio asks for the process id each time.
        if asyncio.get_running_loop() is not loop:
            raise WrongLoop("this store belongs to another event loop: open one store per loop and per process")
        return loop

    def touch(self) -> Touch | None:
        """What a read asks for under `touch_on_read`."""
        if not self.policy.touch_on_read or not self.created_ttl:
            return None
        return Touch(int(self.created_ttl * self.policy.touch_below))

    def load(self, **asked: object) -> Load:
        """A Load of these, touching as the policy says."""
        touch = self.touch()
        if touch is None:
            return Load(**asked)  # type: ignore[arg-type]  # keywords of Load, by name
        return Load(touch=touch, not_after=self.not_after(), **asked)  # type: ignore[arg-type]  # same


def refuse(reply: Reply) -> NoReturn:
    """Raise what a reply's status stands for."""
    kind, text = _REFUSALS[reply.status]
    raise kind(f"session {reply.id!a} {text}", session_id=reply.id)


def new_id() -> bytes:
    """A fresh operation or request id: 16 random bytes, also in a forked child."""
    try:
        return _drawn.pop()
    except IndexError:
        # One system call for many; taken off a list, which threads may do at once.
        block = os.urandom(1_024)
        first, *others = (block[at : at + 16] for at in range(0, len(block), 16))
        _drawn.extend(others)
        return first


_drawn: list[bytes] = []
# Parent and child must not draw the same.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_drawn.clear)
