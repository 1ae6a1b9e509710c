"""A turn: one exchange with a session held alone (or watched for conflicts), committed once or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from types import TracebackType
from typing import Any, Final

from gridsession._commands import (
    Acquire,
    AtRevision,
    Commit,
    Guard,
    Load,
    NotRemembered,
    Operation,
    Release,
    Remember,
    Remove,
    Renew,
    Set,
    TtlMode,
    Unchanged,
    Want,
    digest,
)
from gridsession._link import Link, new_id, refuse
from gridsession._logs import hashed, logger
from gridsession._record import PROPS, STATE, Fields, decode_field
from gridsession._reply import Grant, Reply, Status
from gridsession._session import Session
from gridsession._snapshot import Revision
from gridsession._waiting import PATIENCE_MS, Wait
from gridsession.errors import GridSessionError, Leased, LeaseLost, UsageError
from gridsession.hooks import LeaseRenewed
from gridsession.operations import field_name, raw_of, remembered_value
from gridsession.policy import Duration, lease_milliseconds, milliseconds

_MESSAGES: Final = "messages"

_log = logger("turn")


class Turn:
    """A session for one exchange, as plain dicts. Made by `SessionStore.turn`; use it with `async with`.

    Attributes:
        state: the state as a plain dict, decoded whole; change it as you like, only changed fields are sent.
        props: the second bag, likewise.
        repeated: the message this turn is for was handled before.
    """

    def __init__(
        self,
        link: Link,
        session_id: str,
        *,
        exclusive: bool,
        lease: Duration,
        wait: Duration,
        message: object | None,
    ) -> None:
        self.state: dict[str, Any] = {}
        self.props: dict[str, Any] = {}
        self.repeated = False
        self._link = link
        self._id = session_id
        self._exclusive = exclusive
        self._lease = lease_milliseconds(lease)
        self._wait = milliseconds(wait, "wait", zero=True) / 1000
        self._message = None if message is None else NotRemembered(_MESSAGES, remembered_value(message))
        self._request_id = new_id()
        self._token = 0
        self._epoch = 0
        self._revision = Revision(0, 0)
        self._read: tuple[dict[str, bytes], dict[str, bytes]] = ({}, {})
        self._renewal: asyncio.Task[None] | None = None
        self._lost = False
        self._entered = False

    @property
    def id(self) -> str:
        """The session's id in its text form."""
        return self._id

    @property
    def revision(self) -> Revision:
        """The revision this turn read, or made by its last commit."""
        return self._revision

    @property
    def session(self) -> Session:
        """The session's verbs under this turn's token: they take effect at once, and fail once the lease is lost.

        A field changed by a verb counts as changed meanwhile for this turn's own commit.
        """
        return Session(self._link, self._id, self._token)

    async def __aenter__(self) -> Turn:
        if self._entered:
            raise UsageError("a turn is used once: ask the store for another")
        self._entered = True
        reply = await (self._acquire() if self._exclusive else self._ask(None))
        self._take_in(reply)
        if self._exclusive:
            self._renewal = asyncio.get_running_loop().create_task(self._renew(), name="gridsession-renew")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop_renewal()
        if error is not None:
            await self._give_back()
            return
        if not await self._commit(release=self._exclusive):
            await self._give_back()

    async def commit(self) -> Revision:
        """Save midway what changed so far, and go on holding the session.

        Raises:
            Conflict: a field changed here was changed by someone else meanwhile; nothing was saved.
            LeaseLost: the lease ended; nothing was saved.
        """
        await self._commit(release=False)
        return self._revision

    def _take_in(self, reply: Reply) -> None:
        self._read = dict(reply.bags[STATE] or {}), dict(reply.bags[PROPS] or {})
        self.state = {name: decode_field(raw) for name, raw in self._read[STATE].items()}
        self.props = {name: decode_field(raw) for name, raw in self._read[PROPS].items()}
        self.repeated = reply.seen
        self._epoch = reply.epoch if reply.present else 0
        self._revision = Revision(reply.epoch, reply.revision)

    # --- holding -----------------------------------------------------------------------------------------------------

    async def _ask(self, acquire: Acquire | None) -> Reply:
        asked = Load(Want.RECORD, None, None, acquire, self._message, confirm=True, not_after=self._link.not_after())
        return await self._link.ask(self._id, asked)

    async def _acquire(self) -> Reply:
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._wait
        asked = Acquire(_OWNER, self._request_id, self._lease, PATIENCE_MS if self._wait else 0)
        wait = Wait(self._link, self._id)
        try:
            while True:
                reply = await self._ask(asked)
                if reply.status in (Status.OK, Status.ABSENT) and reply.grant is not None:
                    self._token = reply.grant.token
                    return reply
                if reply.status is not Status.LEASED or reply.grant is None:
                    refuse(reply)
                left = ends - loop.time()
                if left <= 0:
                    raise self._leased(reply.grant, reply.now)
                await wait.until_worth_asking(reply.grant, left)
        except BaseException:
            # Also when cancelled: a place in the queue, or a lease granted to an answer nobody reads, must not stay.
            await _finish(self._give_back(by_request=True))
            raise
        finally:
            await wait.aclose()

    def _leased(self, grant: Grant, now: int) -> Leased:
        return Leased(
            f"session {self._id!a} is held by another turn; gave up after {self._wait:g} s at place {grant.place}",
            session_id=self._id,
            retry_after=max(grant.until - now, 0) / 1000,
            place=grant.place,
        )

    async def _renew(self) -> None:
        """Extend the lease after each third of it, so that two renewals may fail before it ends."""
        link, pause = self._link, self._lease / 3000
        while True:
            await asyncio.sleep(pause)
            try:
                reply = await link.ask(self._id, Renew(self._token, self._lease, link.not_after()))
            except GridSessionError as error:
                _log.warning("lease.not_renewed", session=hashed(self._id), error=type(error).__name__)
                continue
            self._lost = reply.status is Status.LEASE_LOST
            if link.hooks:
                link.hooks(LeaseRenewed(link.space.namespace, self._id, self._lost))
            if self._lost:
                _log.warning("lease.lost", session=hashed(self._id))
                return

    async def _stop_renewal(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._renewal
            self._renewal = None

    async def _give_back(self, *, by_request: bool = False) -> None:
        """Free the lease; a failure is only logged, because the lease ends by itself."""
        if not self._exclusive or (not self._token and not by_request):
            return
        token, self._token = self._token, 0
        command = Release(self._link.not_after(), token, self._request_id)
        try:
            await self._link.ask(self._id, command)
        except GridSessionError as error:
            _log.info("lease.not_released", session=hashed(self._id), error=type(error).__name__)
        self._link.waits.freed(self._id)

    # --- committing --------------------------------------------------------------------------------------------------

    async def _commit(self, *, release: bool) -> bool:
        """Send what changed; whether there was anything to send."""
        try:
            return await self._send_changes(release)
        except BaseException:
            if release:
                await _finish(self._give_back())
            raise

    async def _send_changes(self, release: bool) -> bool:
        operations, guards, written = self._changes()
        if not operations:
            if self._lost:
                raise LeaseLost(f"the lease on {self._id!a} ended; nothing was written", session_id=self._id)
            return False
        link = self._link
        command = Commit(
            self._request_id if release else new_id(),
            link.not_after(),
            operations,
            guards,
            self._token,
            ttl_mode=TtlMode.RESTART,
            created_ttl=link.created_ttl,
            created_max_lifetime=link.created_max_lifetime,
            want=Want.REVISION,
            release=release,
        )
        reply = await link.execute(self._id, command)
        if release:
            self._token = 0
            link.waits.freed(self._id)
        self._read = written
        self._epoch = reply.epoch
        self._revision = Revision(reply.epoch, reply.revision)
        self._message = None
        return True

    def _changes(self) -> tuple[tuple[Operation, ...], tuple[Guard, ...], tuple[dict[str, bytes], dict[str, bytes]]]:
        operations: list[Operation] = []
        # The session that was read must still be the same one: a late commit may not raise a deleted session again.
        guards: list[Guard] = [AtRevision(self._epoch, 0)] if self._epoch else []
        written = dict(self._read[STATE]), dict(self._read[PROPS])
        for bag, values in ((STATE, self.state), (PROPS, self.props)):
            read: Fields = self._read[bag]
            for name, value in values.items():
                raw, old = raw_of(name, value), read.get(name)
                if raw != old:
                    operations.append(Set(bag, field_name(name), raw))
                    guards.append(Unchanged(bag, name, digest(old)))
                    written[bag][name] = raw
            for name in read:
                if name not in values:
                    operations.append(Remove(bag, name))
                    guards.append(Unchanged(bag, name, digest(read[name])))
                    del written[bag][name]
        if self._message is not None and not self.repeated:
            operations.append(Remember(_MESSAGES, self._message.value, self._link.policy.keep_messages))
            guards.append(self._message)
        return tuple(operations), tuple(guards), written


async def _finish(work: Any) -> None:
    """Run to its end what must not be left half done, even while this task is being cancelled."""
    task = asyncio.ensure_future(work)
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.shield(task)


_OWNER: Final = f"{socket.gethostname()[:40]}:{os.getpid()}"
