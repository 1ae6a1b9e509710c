"""What a session held at one revision: read-only mappings, each value decoded when it is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from gridsession._record import PROPS, STATE, Fields, decode_field
from gridsession._reply import Reply, Result
from gridsession._typed import T, check


class Revision(NamedTuple):
    """Which state of which life of a session: `number` rises by one with each applied commit, `epoch` with each
    creation, so the pair tells delete and recreate from no change."""

    epoch: int
    number: int


class Values(Mapping[str, Any]):
    """The fields of one bag. Values are decoded on each read: what is handed out is the reader's own."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Fields | None) -> None:
        self._fields: Fields = {} if fields is None else fields

    def __getitem__(self, name: str) -> Any:
        return decode_field(self._fields[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __contains__(self, name: object) -> bool:
        return name in self._fields

    def __repr__(self) -> str:
        # Names may be logged, values never.
        return f"<{type(self).__name__} of {', '.join(map(ascii, self._fields)) or 'nothing'}>"

    def read(self, name: str, kind: type[T]) -> T:
        """One value, checked against a type and never cast.

        Raises:
            KeyError: no such field.
            InvalidValue: the value is not of the type.
        """
        return check(self[name], kind, f"$.{name}")


class Snapshot(Values):
    """A session as it stood at `revision`: a mapping of its state, with its props beside it.

    Attributes:
        exists: whether there was a session; a missing one reads as empty.
        results: what the operations of the commit gave, in order; None where an operation gives nothing.
    """

    __slots__ = ("_reply", "results")

    def __init__(self, reply: Reply, results: tuple[Any, ...] = ()) -> None:
        self._fields = reply.bags[STATE] or {}
        self.results = results
        self._reply = reply

    @property
    def props(self) -> Values:
        """The second bag, likewise."""
        return Values(self._reply.bags[PROPS])

    @property
    def exists(self) -> bool:
        """Whether the session existed."""
        return self._reply.present

    @property
    def revision(self) -> Revision:
        """The revision this snapshot shows; (epoch, 0) if there was no session."""
        return Revision(self._reply.epoch, self._reply.revision)


def result(reply: Reply, index: int) -> Result:
    """The result of one operation; replies leave out results that are all None."""
    return reply.results[index] if index < len(reply.results) else None
