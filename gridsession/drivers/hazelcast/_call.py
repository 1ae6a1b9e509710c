"""One request and its answer, sent through the official client's connections without its own retries.

A `Call` stands in the client's table of pending invocations and is answered, waits for backups and fails there like any
other. It differs in two things: its `timeout` has always passed, so the client never sends it again by itself (a
command must not be sent twice under flags of a first attempt); and the message is handed over as it came, because the
number of backups that confirmed it is in its head.

Commands are numbered apart from all else, so that a tap (`_tap.py`) knows them; where there is none they travel by the
client's general code.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, Final

from hazelcast.errors import (
    ClientOfflineError,
    HazelcastClientNotActiveError,
    HazelcastSerializationError,
    OperationTimeoutError,
    SplitBrainProtectionError,
)

from gridsession.drivers.hazelcast._link import Link
from gridsession.drivers.hazelcast._tap import Tap
from gridsession.drivers.hazelcast._wire import ExecuteFrames, Key, address, answered, introduce_request

_SWEEP: Final = 0.05
_READING: Final = ".prepareOperation("
"""Where a member reads a client's command, in the stack that comes with its error."""
_SERVER_CLASS = re.compile(r"Exception from server: (?:[\w$]+\.)*([\w$]+)")


class NotSent(Exception):
    """There was no connection to send on; nothing left this process."""


class Overdue(Exception):
    """No answer by the time the caller allowed."""


class Call:
    """What the client's InvocationService reads and writes of an invocation; the class holds what never changes."""

    partition_id = -1
    uuid = None
    event_handler = None
    urgent = False
    timeout = 1.0
    retryable = False
    contains_data = False
    sent_connection: Any = None
    backup_acks_received = 0
    backup_acks_expected = -1
    pending_response: Any = None
    pending_response_received_time: float = -1

    def __init__(
        self, buffer: bytes | bytearray, correlation_id: int, connection: Any, future: asyncio.Future[Any], due: float
    ) -> None:
        self.buf = buffer
        self.correlation_id = correlation_id
        self.connection = connection
        self.future = future
        self.due = due

    @property
    def request(self) -> Call:
        """The call is its own request."""
        return self

    def get_correlation_id(self) -> int:
        """The client looks it up to forget the call."""
        return self.correlation_id

    @staticmethod
    def response_handler(message: Any) -> Any:
        """The message as it came."""
        return message


class CommandCall(Call):
    """A command's call; its future's result is `_wire.Answered`."""

    response_handler = staticmethod(answered)


def send(link: Link, buffer: bytearray, partition: int, connection: Any, due: float) -> Call:
    """Send a request; its answer comes as `call.future`, which ends in `Overdue` at `due` of the loop's clock.

    Raises:
        NotSent: the connection is gone.
    """
    if connection is None:
        raise NotSent
    service = link.service
    if service._shutdown:
        raise NotSent
    correlation_id = service._next_correlation_id.get_and_increment()
    address(buffer, correlation_id, partition)
    call = Call(buffer, correlation_id, connection, asyncio.Future(), due)
    service._pending[correlation_id] = call
    if not connection.send_message(call):
        del service._pending[correlation_id]
        raise NotSent
    call.sent_connection = connection
    return call


def send_command(
    link: Link, frames: ExecuteFrames, command: bytes, key: Key, connection: Any, due: float
) -> CommandCall:
    """Send a command, in the fast lane if the connection has one; else as `send`.

    Raises:
        NotSent: the connection is gone.
    """
    service = link.service
    if connection is None or service._shutdown:
        raise NotSent
    link.commands = number = link.commands + 1
    request = frames.command(command, key, number)
    call = CommandCall(request, number, connection, link.loop.create_future(), due)
    call.sent_connection = connection
    service._pending[number] = call
    reader = connection._reader
    if not (reader.send(request) if type(reader) is Tap else connection.send_message(call)):
        del service._pending[number]
        raise NotSent
    return call


async def ask(link: Link, buffer: bytearray, due: float, *, partition: int = -1, connection: Any = None) -> Any:
    """Send a request, to the partition's owner unless a connection is given, and wait for the answer's message.

    Raises:
        NotSent: the connection is gone.
        Overdue: no answer came in time; one that comes later goes nowhere.
        HazelcastError: the member's or the client's error.
    """
    if connection is None:
        connection = link.connection(partition) if partition >= 0 else link.any_connection()
    return await send(link, buffer, partition, connection, due).future


async def introduce(link: Link, map_name: str, due: float, connection: Any = None) -> None:
    """Tell the cluster of a map once. Members publish a namespace's globals only if they know its map as an object.

    Raises:
        NotSent: they could not be told; nothing else was sent.
    """
    if map_name in link.introduced:
        return
    try:
        await ask(link, introduce_request(map_name), due, connection=connection)
    except Exception as error:
        raise NotSent from error
    link.introduced.add(map_name)


def end_overdue(link: Link, now: float) -> None:
    """End the calls of a link that are due."""
    for call in link.service._pending.values():
        if isinstance(call, Call) and call.due <= now and not call.future.done():
            waited_for, call.future = call.future, link.loop.create_future()
            # It stays in the client's table until its answer or the end of its connection, so that a late answer is
            # recognised and dropped: by the client too, which asks of a future whether it was cancelled, and no more.
            call.future.cancel()
            waited_for.set_exception(Overdue())


class Sweep:
    """Ends what is overdue: one timer for all that waits instead of one for each.

    Args:
        ends: called with the loop's time; each ends what is due by then.
    """

    def __init__(self, *ends: Callable[[float], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._ends = ends
        self._timer = self._loop.call_later(_SWEEP, self._run)

    def _run(self) -> None:
        now = self._loop.time()
        for end in self._ends:
            end(now)
        self._timer = self._loop.call_later(_SWEEP, self._run)

    def stop(self) -> None:
        """Stop sweeping."""
        self._timer.cancel()


def server_class(error: BaseException) -> str:
    """The name of the error, the member's own where it came from there; never its message, which may hold anything."""
    found = _SERVER_CLASS.search(str(error.args[0])) if error.args else None
    return found[1] if found else type(error).__name__


def was_refused(error: BaseException) -> bool:
    """Whether the member refused to apply anything because it sees too few members."""
    return isinstance(error, SplitBrainProtectionError)


def lacks_jar(error: BaseException) -> bool:
    """Whether the member does not know our processors."""
    return isinstance(error, HazelcastSerializationError) and "DataSerializerFactory" in str(error)


def was_unread(error: BaseException) -> bool:
    """Whether the very member it was sent to could not read the command, which then went nowhere.

    The member of a copy that lacks our jar answers in the owner's place, with the same error, though the owner applied
    the command.
    """
    return lacks_jar(error) and _READING in str(error)


def is_passing(error: BaseException) -> bool:
    """Whether asking again can help: connections, ownership or membership changed."""
    if isinstance(error, (OSError, NotSent, ClientOfflineError, HazelcastClientNotActiveError, OperationTimeoutError)):
        return True
    return type(error).__name__ in {
        "TargetDisconnectedError",
        "IndeterminateOperationStateError",
        "HazelcastInstanceNotActiveError",
        "MemberLeftError",
    }
