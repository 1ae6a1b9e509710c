"""Carrying out commands: one round trip each, and when that brings no definite answer, again under the same op id.

An answer is definite if as many backups confirmed it as the map has sync backups: an owner that is cut off answers with
fewer. That an attempt may have been applied is remembered as doubt: only a call without doubt may end in "nothing was
applied".
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import replace
from typing import Final, NoReturn

from gridsession._commands import AckExpired, Change, Command, Commit, Install, Load, Want, op_id_of
from gridsession._identity import Space
from gridsession._record import has_announcement
from gridsession._reply import Reply, Status, decode_reply
from gridsession.drivers.hazelcast import _wire
from gridsession.drivers.hazelcast._call import (
    NotSent,
    Overdue,
    introduce,
    is_passing,
    lacks_jar,
    send_command,
    server_class,
    was_refused,
    was_unread,
)
from gridsession.drivers.hazelcast._client import Client
from gridsession.drivers.hazelcast._link import Link
from gridsession.drivers.hazelcast._probe import FIRST_COMMANDS, without_jar
from gridsession.errors import (
    DeadlineExceeded,
    GridSessionError,
    OutcomeUnknown,
    StoreClosed,
    UnderReplicated,
    Unsupported,
)
from gridsession.hooks import CommandDone, CommandRetried, CopiesMissing, Hooks

_FIRST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 0.25
_DETOUR_AFTER: Final = 6
"""Attempts after which a command goes to any member if its owner is not connected: the member passes it on."""
_LAST_CHANCE: Final = 0.02
"""An attempt with less time (s) than this before the deadline would only turn a definite no into an unknown outcome."""
_UNREMEMBERED: Final = frozenset({Status.TOO_LATE, Status.BUSY, Status.UNSUPPORTED, Status.MALFORMED, Status.CORRUPT})
"""Refusals that leave no trace in the record, so that they say nothing of an earlier attempt."""
_STRANGE: Final = 3
"""Attempts that may end in an error of the member that is none of the passing ones."""


class NotServed(Exception):
    """A member has something that it serves nobody, or that no other confirms."""


class _Short(Exception):
    """Fewer backups confirmed than must, or the member answered without having run the command."""


class Executor:
    """Carries commands to a client's cluster, at most `max_in_flight` at once, first come first served."""

    def __init__(self, client: Client, hooks: Hooks, deadline: float, max_in_flight: int) -> None:
        self.client = client
        self.hooks = hooks
        self.deadline = deadline
        self.max_in_flight = max_in_flight
        self.time = asyncio.get_running_loop().time
        self._gate = client.gate
        self._frames: dict[Space, _wire.ExecuteFrames] = {}

    def execute(
        self, space: Space, session_id: str, command: Command, deadline: float | None
    ) -> Coroutine[None, None, Reply]:
        """Apply a command; as `Driver.execute` says.

        Raises:
            Unsupported: not all members know it yet; it was not sent to any.
        """
        if command.code > FIRST_COMMANDS or _announces(command):
            command = self._known_to_all(session_id, command)
        due = self.time() + (self.deadline if deadline is None else deadline)
        run = _Run(self, space, session_id, command, due)
        # Not a coroutine around a coroutine: each is passed through when the answer comes.
        return self._observed(run) if self.hooks else self._admitted(run)

    def _known_to_all(self, session_id: str, command: Command) -> Command:
        """What every member knows of a command: it itself, or a commit that does not announce the session's end.

        A record with that in it could not be read by a member with an older jar, which may own it next.
        """
        where = self.client.lacking(max(command.code, AckExpired.code))
        if where is None:
            return command
        if isinstance(command, Commit):
            return replace(command, announce=False)
        raise Unsupported(
            f"the member {where} does not know {type(command).__name__} yet, or what it would store, so it was not"
            " sent: go on with the rolling restart until every member runs this version's jar",
            session_id=session_id,
        )

    async def _admitted(self, run: _Run) -> Reply:
        gate = self._gate
        if gate.free:
            gate.free -= 1
        elif not await gate.wait(run.due):
            raise DeadlineExceeded(
                f"{self.max_in_flight} commands were in flight all the time, so this one was not sent: the grid is too"
                " slow for this load, or max_in_flight= too small",
                session_id=run.session_id,
            )
        try:
            try:
                return await run.attempt()
            except GridSessionError:
                raise
            except Exception as error:  # noqa: BLE001 - each kind is judged there
                return await run.again(error)
        finally:
            gate.leave()

    async def _observed(self, run: _Run) -> Reply:
        started = self.time()
        status, duplicate = "", False
        try:
            reply = await self._admitted(run)
            status, duplicate = reply.status.name.lower(), reply.duplicate
            return reply
        except BaseException as error:
            status = type(error).__name__
            raise
        finally:
            seconds = self.time() - started
            name, space = type(run.command).__name__, run.space
            told = (run.session_id, name, status, seconds, run.attempts, duplicate, space.kind)
            self.hooks(CommandDone(space.namespace, *told))

    async def check_served(self, space: Space, due: float) -> None:
        """Ask each member that owns anything, once: until those that were apart handed over, maps lack what they hold.

        Raises:
            NotServed: one does not serve, or nobody confirms what it says.
            NotSent, Overdue, HazelcastError: one did not answer.
        """
        asked = Load(Want.NOTHING, confirm=True)
        try:
            await asyncio.gather(
                *(_Run(self, space, name, asked, due).attempt() for name in _one_for_each_owner(self.client.link))
            )
        except Exception as error:
            if isinstance(error, _Short) or was_refused(error):
                raise NotServed from error
            raise

    def frames(self, space: Space) -> _wire.ExecuteFrames:
        """Requests for a space's map."""
        found = self._frames.get(space)
        if found is None:
            found = self._frames[space] = _wire.ExecuteFrames(_wire.records_map(space))
        return found


def _one_for_each_owner(link: Link) -> list[str]:
    """Names of which each falls to another of the members that own anything."""
    owners = {link.owner(partition) for partition in range(link.partition_count())}
    found: list[str] = []
    index = 0
    while owners:
        name = f"served:{index}"
        owner = link.owner(link.keys.get(name).partition)
        if owner in owners:
            owners.remove(owner)
            found.append(name)
        index += 1
    return found


def _announces(command: Command) -> bool:
    if type(command) is Commit:
        return command.announce
    return type(command) is Install and has_announcement(command.record)


class _Run:
    """One command on its way: its attempts, and whether one of them may have been applied."""

    __slots__ = (
        "_body",
        "_confirmed",
        "_doubt",
        "_executor",
        "_refused",
        "_sent",
        "_told",
        "attempts",
        "command",
        "due",
        "session_id",
        "space",
    )

    def __init__(self, executor: Executor, space: Space, session_id: str, command: Command, due: float) -> None:
        self._executor = executor
        self.space = space
        self.session_id = session_id
        self.command = command
        self.due = due
        self.attempts = 0
        self._body = command.encode()
        self._confirmed = type(command) is not Load or command.confirm or command.acquire is not None
        self._doubt = False
        self._refused = False
        self._sent = False
        self._told = ""

    async def attempt(self) -> Reply:
        """Send the command once.

        Raises:
            GridSessionError: the definite end of it.
            Exception: no definite answer; `again` judges it.
        """
        executor = self._executor
        client = executor.client
        self.attempts += 1
        link = client.link
        key = link.keys.get(self.session_id)
        connection = link.connection(key.partition)
        if connection is None and self.attempts > _DETOUR_AFTER:
            connection = link.any_connection()
            # The member that passes it on may do so twice, and tell of the second time only.
            self._doubt = self._doubt or connection is not None
        frames = executor.frames(self.space)
        if frames.name not in link.introduced:
            await introduce(link, frames.name, self.due, connection)
        sent = executor.time()
        call = send_command(link, frames, self._body, key, connection, self.due)
        self._sent = True
        acks, data = await call.future
        if data is None or (self._confirmed and acks < client.sync_backups):
            raise _Short
        reply = decode_reply(_wire.bytes_value(data), expected_id=key.text)
        client.clock.learn(reply.now, sent, executor.time())
        if self._doubt and reply.status in _UNREMEMBERED and self._changes:
            # This attempt was surely not applied; an earlier one may have been, or may still arrive and be.
            raise self._unknown(f"a later attempt was answered {reply.status.name.lower()}")
        return reply

    async def again(self, error: Exception) -> Reply:
        """Go on after an attempt without a definite answer, until there is one or the deadline has come."""
        executor = self._executor
        pause = _FIRST_PAUSE
        strange = 0
        while True:
            strange += not (is_passing(error) or was_refused(error) or isinstance(error, (_Short, Overdue)))
            self._judge(error, strange)
            wait = pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, keeps no secret
            if executor.time() + wait + _LAST_CHANCE >= self.due or executor.client.closed:
                self._end(error)
            if executor.hooks:
                name = type(self.command).__name__
                executor.hooks(
                    CommandRetried(self.space.namespace, self.session_id, name, self.attempts, _reason(error))
                )
            await asyncio.sleep(wait)
            pause = min(pause * 2, _LONGEST_PAUSE)
            self._mark_retry()
            try:
                return await self.attempt()
            except StoreClosed:
                self._end(error)
            except GridSessionError:
                raise
            except Exception as fault:  # noqa: BLE001 - judged in the next turn
                error = fault

    def _judge(self, error: Exception, strange: int) -> None:
        """Note whether the attempt may have been applied; end here if asking again cannot help."""
        if not isinstance(error, Overdue):
            self._told = _reason(error)
        if was_refused(error) or isinstance(error, _Short):
            self._refused = True
            if hooks := self._executor.hooks:
                name = type(self.command).__name__
                hooks(CopiesMissing(self.space.namespace, self.session_id, name, self.attempts))
        if isinstance(error, NotSent) or was_refused(error):
            return
        if was_unread(error):
            self._end(error)
        self._doubt = True
        if lacks_jar(error):
            self._end(error)
        if isinstance(error, Overdue) or strange >= _STRANGE:
            self._end(error)

    def _mark_retry(self) -> None:
        command = self.command
        if self._sent and isinstance(command, Change) and not command.retry:
            self.command = replace(command, retry=True)
            self._body = self.command.encode()

    @property
    def _changes(self) -> bool:
        return not isinstance(self.command, Load) or self.command.acquire is not None

    def _end(self, error: Exception) -> NoReturn:
        """No definite answer, and no time or no sense to ask again."""
        link = self._executor.client._link
        if self._doubt and self._changes:
            raise self._unknown(self._told or _reason(error)) from None
        if lacks_jar(error) and link is not None:
            owner = link.connection(link.keys.get(self.session_id).partition)
            where = "unknown" if owner is None else f"{owner.remote_address.host}:{owner.remote_address.port}"
            raise without_jar(where) from None
        if link is not None and not link.connected:
            fault = link.failed()
            fault.session_id = self.session_id
            raise fault from None
        # Members that were told different things refuse, and are not all connected to: that has another remedy.
        self._executor.client.check_configuration()
        if was_refused(error) or isinstance(error, _Short) or (self._refused and isinstance(error, (NotSent, Overdue))):
            raise UnderReplicated(
                "too few members for a synchronous copy, so nothing was applied: bring back members until a majority of"
                " the declared ones runs",
                session_id=self.session_id,
            ) from None
        raise DeadlineExceeded(
            f"no answer after {self.attempts} attempt(s) ({self._told or _reason(error)}); nothing was"
            f" {'applied' if self._changes else 'read'}: raise deadline=, or see whether members are overloaded",
            session_id=self.session_id,
        ) from None

    def _unknown(self, reason: str) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"no definite answer after {self.attempts} attempt(s) ({reason}): the change was applied once or not at"
            " all; read the session, or repeat the same operation under its op id",
            op_id=op_id_of(self.command),
            session_id=self.session_id,
        )


def _reason(error: BaseException) -> str:
    """Why an attempt brought no definite answer, in a word."""
    if isinstance(error, _Short):
        return "too few backups confirmed"
    if isinstance(error, NotSent):
        return "no connection to the owner"
    if isinstance(error, Overdue):
        return "no answer by the deadline"
    if lacks_jar(error):
        return "a member does not have gridsession's jar"
    return server_class(error)
