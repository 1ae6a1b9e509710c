"""A turn: one exchange with a session held alone (or watched for conflicts), committed once or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from operator import is_
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
    Unchanged,
    Want,
    digest,
)
from gridsession._fields import NEVER_CHANGE
from gridsession._link import Link, new_id, refuse
from gridsession._logs import hashed, logger
from gridsession._record import PROPS, STATE, Fields, decode_field
from gridsession._reply import Grant, Reply, Status
from gridsession._session import Session, Ttl, ttl_mode
from gridsession._snapshot import Revision
from gridsession._waiting import PATIENCE_MS, Wait
from gridsession.errors import GridSessionError, Leased, LeaseLost, UsageError
from gridsession.hooks import LeaseRenewed, LeaseWaited
from gridsession.operations import field_name, raw_of, remembered_value
from gridsession.policy import Duration, lease_milliseconds, milliseconds

_MESSAGES: Final = "gridsession:turn"
"""The recent set of handled messages: a name of its own, so that `remember` does not speak for a turn."""
_GIVE_BACK: Final = 2.0
"""How long (s) a turn tries to free its lease; it ends by itself anyway."""
_AFTER_FAILURE: Final = 0.2
"""Pause (s) after a renewal that failed at once."""
_MISSING: Final = object()

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
        lease: Duration | None,
        wait: Duration | None,
        message: object | None,
        ttl: Ttl,
    ) -> None:
        self.state: dict[str, Any] = {}
        self.props: dict[str, Any] = {}
        self.repeated = False
        self._link = link
        self._id = session_id
        self._exclusive = exclusive
        self._lease = link.lease if lease is None else lease_milliseconds(lease)
        self._wait = (link.wait if wait is None else milliseconds(wait, "wait", zero=True)) / 1000
        self._message = None if message is None else NotRemembered(_MESSAGES, remembered_value(message))
        self._ttl = ttl_mode(ttl)
        self._request_id = new_id()
        self._token = 0
        self._epoch = 0
        self._revision = Revision(0, 0)
        self._read: tuple[Fields, Fields] = ({}, {})
        self._decoded: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
        self._renewal: asyncio.Task[None] | None = None
        self._renewal_due: asyncio.TimerHandle | None = None
        self._lost = False
        self._existed = False
        self._entered = False
        self._open = False

    @property
    def id(self) -> str:
        """The session's id in its text form."""
        return self._id

    @property
    def revision(self) -> Revision:
        """The revision this turn read, or made by its last commit."""
        return self._revision

    @property
    def exists(self) -> bool:
        """Whether there is a session, as far as this turn knows: since it read, committed or deleted it."""
        return self._existed

    @property
    def session(self) -> Session:
        """The session's verbs under this turn's token: they take effect at once, and fail once the lease is lost.

        A field changed by a verb counts as changed meanwhile for this turn's own commit.

        Raises:
            UsageError: outside of the turn's block.
        """
        self._check_open()
        return Session(self._link, self._id, self._token)

    async def __aenter__(self) -> Turn:
        if self._entered:
            raise UsageError("a turn is used once: ask the store for another")
        self._entered = True
        try:
            if self._exclusive:
                reply, left = await self._acquire()
                self._take_in(reply)
                # Most turns are over by then: a timer costs them a tenth of what a task does.
                self._renewal_due = asyncio.get_running_loop().call_later(left / 3, self._begin_renewal)
            else:
                self._take_in(await self._link.execute(self._id, self._load(None)))
        except BaseException:
            # Also when cancelled: a place in the queue, or a lease granted to an answer nobody reads, must not stay.
            await _finish(self._give_back(by_request=True))
            raise
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False
        try:
            await self._stop_renewal()
            if error is None:
                await self._commit(release=self._exclusive)
        finally:
            if self._token:
                await _finish(self._give_back())

    async def _undo_entering(self, error: BaseException) -> None:
        """For a blocking caller that `error` interrupted when this was entered already: nobody else would leave it."""
        if self._open and not isinstance(error, UsageError):
            await self.__aexit__(type(error), error, error.__traceback__)

    async def commit(self) -> Revision:
        """Save midway what changed so far, and go on holding the session.

        Raises:
            Conflict: a field changed here was changed by someone else meanwhile; nothing was saved.
            LeaseLost: the lease ended; nothing was saved.
            UsageError: outside of the turn's block.
        """
        self._check_open()
        await self._commit(release=False)
        return self._revision

    async def delete(self) -> bool:
        """Delete the session now, and with it what this turn has not committed; whether there was one.

        `state` and `props` are empty then; what is put into them makes a new session. So does the `message` of this
        turn, which is remembered all the same: an empty one.

        Raises:
            Conflict: not held alone, and changed by another since this turn read it or last committed.
            LeaseLost: the lease ended; the session stays.
            UsageError: outside of the turn's block.
        """
        self._check_open()
        deleted = await self.session.delete(None if self._exclusive else self._revision)
        self.state, self.props = {}, {}
        self._read = ({}, {})
        self._decoded = ({}, {})
        self._epoch = 0
        self._existed = False
        return deleted

    def _check_open(self) -> None:
        # After the block there is no token to fence by: what came then would not be held off from another's turn.
        if not self._open:
            raise UsageError(f"the turn of {self._id!a} is not open: use it inside its `async with` block")

    def _take_in(self, reply: Reply) -> None:
        self._read = reply.bags[STATE] or {}, reply.bags[PROPS] or {}
        self.state = {name: decode_field(raw) for name, raw in self._read[STATE].items()}
        self.props = {name: decode_field(raw) for name, raw in self._read[PROPS].items()}
        self._decoded = _kept(self.state), _kept(self.props)
        self.repeated = reply.seen
        self._existed = reply.present
        self._epoch = reply.epoch if reply.present else 0
        self._revision = Revision(reply.epoch, reply.revision)

    # --- holding -----------------------------------------------------------------------------------------------------

    def _load(self, acquire: Acquire | None) -> Load:
        return Load(Want.RECORD, None, None, acquire, self._message, confirm=True, not_after=self._link.not_after())

    async def _acquire(self) -> tuple[Reply, float]:
        """The reply that grants the lease, and for how many seconds it grants it."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        ends = began + self._wait
        asked = Acquire(self._link.driver.owner, self._request_id, self._lease, PATIENCE_MS if self._wait else 0)
        wait: Wait | None = None
        waited = False
        try:
            while True:
                reply = await self._link.ask(self._id, self._load(asked))
                if reply.status in (Status.OK, Status.ABSENT) and reply.grant is not None:
                    self._token = reply.grant.token
                    return reply, max(reply.grant.until - reply.now, 0) / 1000
                if reply.status is not Status.LEASED or reply.grant is None:
                    refuse(reply)
                waited = True
                left = ends - loop.time()
                if left <= 0:
                    raise self._leased(reply.grant, reply.now)
                if wait is None:
                    wait = Wait(self._link, self._id, self._request_id)
                await wait.until_worth_asking(reply.grant, reply.now, left)
        finally:
            if waited and self._link.hooks:
                seconds, granted = loop.time() - began, bool(self._token)
                self._link.hooks(LeaseWaited(self._link.space.namespace, self._id, seconds, granted))
            if wait is not None:
                wait.close()

    def _leased(self, grant: Grant, now: int) -> Leased:
        return Leased(
            f"session {self._id!a} is held by another turn; gave up after {self._wait:g} s at place {grant.place}",
            session_id=self._id,
            retry_after=max(grant.until - now, 0) / 1000,
            place=grant.place,
        )

    def _begin_renewal(self) -> None:
        self._renewal = asyncio.create_task(self._renew(), name="gridsession-renew")

    async def _renew(self) -> None:
        """Extend the lease each time a third of it has passed, until it is lost."""
        pause: float | None = 0.0
        while pause is not None:
            await asyncio.sleep(pause)
            pause = await self._renew_once()

    async def _renew_once(self) -> float | None:
        """Extend the lease; a call that hangs is given up after a third of it. Seconds until the next, None = never."""
        link, third = self._link, self._lease / 3000
        try:
            reply = await link.ask(self._id, Renew(self._token, self._lease, link.not_after()), within=third)
        except UsageError:
            return None
        except GridSessionError as error:
            _log.warning("lease.not_renewed", session=hashed(self._id), error=type(error).__name__)
            return min(third, _AFTER_FAILURE)
        if reply.status not in (Status.OK, Status.LEASE_LOST):
            _log.warning("lease.not_renewed", session=hashed(self._id), status=reply.status.name.lower())
            return min(third, _AFTER_FAILURE)
        self._lost = reply.status is Status.LEASE_LOST
        if link.hooks:
            link.hooks(LeaseRenewed(link.space.namespace, self._id, self._lost))
        if self._lost:
            _log.warning("lease.lost", session=hashed(self._id))
            return None
        return third

    async def _stop_renewal(self) -> None:
        if self._renewal_due is not None:
            self._renewal_due.cancel()
        renewal, self._renewal = self._renewal, None
        if renewal is not None:
            renewal.cancel()
            # Not awaited itself: its cancellation is not ours, and ours must not be taken for its.
            await asyncio.wait({renewal})

    async def _give_back(self, *, by_request: bool = False) -> None:
        """Free the lease; a failure is only logged, because the lease ends by itself."""
        if not self._exclusive or (not self._token and not by_request):
            return
        token, self._token = self._token, 0
        try:
            command = Release(self._link.not_after(), token, self._request_id)
            await self._link.ask(self._id, command, within=_GIVE_BACK)
        except GridSessionError as error:
            _log.info("lease.not_released", session=hashed(self._id), error=type(error).__name__)
        self._link.waits.freed(self._id)

    # --- committing --------------------------------------------------------------------------------------------------

    async def _commit(self, *, release: bool) -> None:
        """Send what changed, if anything did."""
        operations, guards, written = self._changes()
        if not operations:
            if self._lost:
                raise LeaseLost(f"the lease on {self._id!a} ended; nothing was written", session_id=self._id)
            return
        link = self._link
        command = Commit(
            self._request_id if release else new_id(),
            link.not_after(),
            operations,
            guards,
            self._token,
            ttl_mode=self._ttl[0],
            ttl=self._ttl[1],
            created_ttl=link.created_ttl,
            created_max_lifetime=link.created_max_lifetime,
            want=Want.REVISION,
            release=release,
            announce=link.announce,
        )
        decoded = _kept(self.state), _kept(self.props)
        reply = await link.execute(self._id, command)
        if release:
            self._token = 0
            link.waits.freed(self._id)
        self._existed = True
        self._read, self._decoded = written, decoded
        self._epoch = reply.epoch
        self._revision = Revision(reply.epoch, reply.revision)
        self._message = None

    def _changes(self) -> tuple[tuple[Operation, ...], tuple[Guard, ...], tuple[dict[str, bytes], dict[str, bytes]]]:
        operations: list[Operation] = []
        # The session that was read must still be the same one: a late commit may not raise a deleted session again.
        guards: list[Guard] = [AtRevision(self._epoch, 0)] if self._epoch else []
        written = dict(self._read[STATE]), dict(self._read[PROPS])
        for bag, values in ((STATE, self.state), (PROPS, self.props)):
            read: Fields = self._read[bag]
            decoded = self._decoded[bag]
            for name, value in values.items():
                if _is_as_read(value, decoded.get(name, _MISSING)):
                    continue
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


def _kept(values: Mapping[str, Any]) -> dict[str, Any]:
    """What `_is_as_read` compares with: lists are copied, for the turn's own may be changed in place."""
    return {name: value.copy() if type(value) is list else value for name, value in values.items()}


def _is_as_read(value: object, read: object) -> bool:
    """Whether a value is for sure what was read, without encoding it: the same object of a kind that never changes, or
    a list of the same such objects, as a history mostly is."""
    if type(value) in NEVER_CHANGE:
        return value is read
    return (
        type(value) is list
        and type(read) is list
        and len(value) == len(read)
        and all(map(is_, value, read))
        and NEVER_CHANGE.issuperset(map(type, value))
    )


async def _finish(work: Coroutine[Any, Any, None]) -> None:
    """Run to its end what must not be left half done; a cancellation meanwhile takes effect afterwards."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
