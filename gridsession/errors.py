"""Every error gridsession raises, as one tree.

::

    GridSessionError
    ├── InvalidInput (also ValueError)   the caller's input; nothing was sent
    │   ├── InvalidSessionId             not `platform:key`, too long, or with NUL
    │   ├── InvalidValue                 a value that cannot be stored or is not of the type asked for
    │   ├── InvalidOption                a URL, policy or argument that makes no sense
    │   └── UnknownEvent                 a webhook body that is not what the platform posts
    ├── UsageError (also RuntimeError)   the object is used in a way it does not support
    │   ├── StoreClosed                  after `aclose()`
    │   └── WrongLoop                    from another event loop or a forked process
    ├── CodecError                       bytes that are not what gridsession writes
    │   └── CorruptRecord                the record stored under an id cannot be read
    ├── Refused                          a definite no: nothing was changed
    │   ├── Conflict                     a guard did not hold; the session moved on meanwhile
    │   ├── SessionAbsent                a guard asked for a session that is not there
    │   ├── Leased                       another turn holds the session; the wait ran out
    │   ├── LeaseLost                    this turn's lease ended; nothing of it was written
    │   ├── TooLate                      arrived after its deadline
    │   ├── Busy                         too many changes remembered or waiters queued
    │   ├── TooLarge                     over a limit of the record, a name or the number of fields
    │   ├── WrongType                    increment, append or pop on another kind of field, or overflow
    │   └── Unsupported                  the place does not know this command or layout, or finds it malformed
    ├── Unavailable                      a definite no: the place cannot be reached or must not answer
    │   ├── ConnectFailed                no member, a mute member, a wrong cluster name
    │   ├── MemberUnfit                  a member without our jar, with a stale one, or configured differently
    │   ├── UnderReplicated              refused before applying: too few members for a synchronous copy
    │   └── DeadlineExceeded             the deadline passed and nothing had been applied
    ├── NodeError                        running members on this machine
    │   ├── JavaNotFound                 no Java 17 or later
    │   └── MemberFailed                 a member did not start, or its JVM ended unasked
    ├── OutcomeUnknown                   no definite answer by the deadline: applied or not, once at most
    └── CrossTalk                        a reply or record of another id: a fatal fault, never data
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "Busy",
    "CodecError",
    "Conflict",
    "ConnectFailed",
    "CorruptRecord",
    "CrossTalk",
    "DeadlineExceeded",
    "GridSessionError",
    "InvalidInput",
    "InvalidOption",
    "InvalidSessionId",
    "InvalidValue",
    "JavaNotFound",
    "LeaseLost",
    "Leased",
    "MemberFailed",
    "MemberUnfit",
    "NodeError",
    "OutcomeUnknown",
    "Refused",
    "SessionAbsent",
    "StoreClosed",
    "TooLarge",
    "TooLate",
    "Unavailable",
    "UnderReplicated",
    "UnknownEvent",
    "Unsupported",
    "UsageError",
    "WrongLoop",
    "WrongType",
]


class GridSessionError(Exception):
    """Root of all errors of this library.

    Attributes:
        session_id: text form of the session (or name of the global) concerned, or None.
    """

    def __init__(self, message: str, *, session_id: str | None = None) -> None:
        super().__init__(message)
        self.session_id = session_id

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors cross process pools; the default loses keyword-only arguments.
        return (_rebuild, (type(self), self.args, self.__dict__.copy()))


def _rebuild(kind: type[GridSessionError], args: tuple[Any, ...], state: dict[str, Any]) -> GridSessionError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class InvalidInput(GridSessionError, ValueError):
    """The caller's input is wrong; nothing was sent and nothing changed."""


class InvalidSessionId(InvalidInput):
    """Text that does not name a session."""


class InvalidValue(InvalidInput):
    """A value that cannot be stored, or one that is not of the type asked for.

    Attributes:
        path: where in the value, as in `$.cart[2].price`.
    """

    def __init__(self, message: str, *, path: str = "$", session_id: str | None = None) -> None:
        super().__init__(message, session_id=session_id)
        self.path = path


class InvalidOption(InvalidInput):
    """A URL, policy or argument that makes no sense."""


class UnknownEvent(InvalidInput):
    """A webhook body that is not what the platform posts.

    Attributes:
        platform: whose body it should be.
        missing: the part of the envelope that is missing or wrong.
    """

    def __init__(self, message: str, *, platform: str, missing: str, session_id: str | None = None) -> None:
        super().__init__(message, session_id=session_id)
        self.platform = platform
        self.missing = missing


class UsageError(GridSessionError, RuntimeError):
    """The object is used in a way it does not support."""


class StoreClosed(UsageError):
    """The store was closed, or never opened."""


class WrongLoop(UsageError):
    """The store is used from another event loop, or in a forked process, than the one it was opened in."""


class CodecError(GridSessionError):
    """Bytes that are not what gridsession writes."""


class CorruptRecord(CodecError):
    """The record stored under an id cannot be read; it is never taken for an empty session."""


class Refused(GridSessionError):
    """A definite no by the rules: nothing was changed."""


class Conflict(Refused):
    """A guard did not hold: the session changed since it was read. Read again and decide again."""


class SessionAbsent(Refused):
    """A guard asked for a session that does not exist (never created, expired or deleted)."""


class Leased(Refused):
    """Another turn holds the session and the wait ran out.

    Attributes:
        retry_after: seconds until the holder's lease ends, unless it is renewed.
        place: place in the queue, 1 = next.
    """

    def __init__(
        self, message: str, *, session_id: str | None = None, retry_after: float = 0.0, place: int = 0
    ) -> None:
        super().__init__(message, session_id=session_id)
        self.retry_after = retry_after
        self.place = place


class LeaseLost(Refused):
    """The turn's lease ended before its commit; nothing of this commit was written."""


class TooLate(Refused):
    """The command arrived after its deadline and was not applied."""


class Busy(Refused):
    """The session remembers as many recent changes, or queues as many waiters, as it may. Try again later."""


class TooLarge(Refused):
    """The change would pass a limit: record bytes, number of fields, length of a name or id."""


class WrongType(Refused):
    """Increment, append or pop on a field of another kind, or a number out of range."""


class Unsupported(Refused):
    """The place does not know this command, its layout number, or finds the command malformed."""


class Unavailable(GridSessionError):
    """A definite no: the place cannot be reached or must not answer; nothing was applied.

    Attributes:
        address: the address concerned, or None.
    """

    def __init__(self, message: str, *, address: str | None = None, session_id: str | None = None) -> None:
        super().__init__(message, session_id=session_id)
        self.address = address


class ConnectFailed(Unavailable):
    """No usable connection: nobody listens, a mute member, a wrong cluster name."""


class MemberUnfit(Unavailable):
    """A member without our jar, with a stale one, or configured differently from the others."""


class UnderReplicated(Unavailable):
    """Refused before applying: too few members for the synchronous copy that a definite answer needs."""


class DeadlineExceeded(Unavailable, TimeoutError):
    """The deadline passed before anything was applied."""


class NodeError(GridSessionError):
    """Running members on this machine failed."""


class JavaNotFound(NodeError):
    """There is no Java 17 or later to run a member on."""


class MemberFailed(NodeError):
    """A member did not start, or its JVM ended unasked; the message says why.

    Attributes:
        returncode: how the JVM ended; None if it still runs.
    """

    def __init__(self, message: str, *, session_id: str | None = None, returncode: int | None = None) -> None:
        super().__init__(message, session_id=session_id)
        self.returncode = returncode


class OutcomeUnknown(GridSessionError):
    """No definite answer by the deadline: the change was applied once or not at all.

    Attributes:
        op_id: the operation's id, 16 bytes; the member remembers it until the deadline.
    """

    def __init__(self, message: str, *, op_id: bytes, session_id: str | None = None) -> None:
        super().__init__(message, session_id=session_id)
        self.op_id = op_id


class CrossTalk(GridSessionError):
    """A reply or a record that belongs to another id: a fatal fault of the platform, never data."""
