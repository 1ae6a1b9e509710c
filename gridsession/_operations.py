"""Operations of a commit over the bags of one record, and what both may grow to: part of the rules, as pure as these.

Java: `Draft.java`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from gridsession._commands import (
    Allow,
    Append,
    Change,
    Commit,
    CompareAndSet,
    Delete,
    Increment,
    Operation,
    Pop,
    Remember,
    Remove,
    Set,
    SetDefault,
    Take,
    Want,
)
from gridsession._limits import Limits
from gridsession._record import (
    FLOAT,
    GATE,
    INT,
    LIST,
    META,
    RECENT,
    Fields,
    Record,
    elements,
    encode_field,
    join_elements,
)
from gridsession._reply import Result, Status
from gridsession.errors import CorruptRecord

_DOUBLE = struct.Struct(">d")
_HEADER = 512
"""More than the header of any record takes beside its id: fixed parts, a lease with the longest owner, bag heads."""


class Refusal(Exception):
    """Leaves the middle of a change; never leaves the rules."""

    def __init__(self, status: Status, index: int = -1) -> None:
        self.status = status
        self.index = index


class Draft:
    """The bags while operations run over them; nothing of it is seen unless all went well."""

    __slots__ = ("_changed", "_limits", "_now", "_result_bytes", "_results", "bags", "effective")

    def __init__(self, record: Record, now: int, limits: Limits) -> None:
        self.bags: tuple[dict[str, bytes], dict[str, bytes], dict[str, bytes]] = (
            dict(record.bags[0]),
            dict(record.bags[1]),
            dict(record.bags[2]),
        )
        self._results: list[Result] = []
        self._result_bytes = 0
        self.effective = False
        self._changed: list[dict[str, None]] = [{}, {}, {}]
        self._now = now
        self._limits = limits

    @property
    def results(self) -> tuple[Result, ...]:
        """What the operations gave, in order; empty if none of them gives anything."""
        return tuple(self._results) if any(result is not None for result in self._results) else ()

    def clear(self, mask: int, retain: tuple[tuple[int, str], ...]) -> None:
        """Empty the bags of the mask except the retained names."""
        for bag in (0, 1):
            if not mask >> bag & 1:
                continue
            names = [name for name in self.bags[bag] if (bag, name) not in retain]
            for name in names:
                self._drop(bag, name)

    def run(self, index: int, operation: Operation) -> None:
        """Run one operation; its result is appended.

        Raises:
            Refusal: wrong_type or too_large, at this index.
        """
        try:
            result = _OPERATIONS[operation.code](self, operation)
            self._result_bytes += len(result) if isinstance(result, bytes) else 0
            if self._result_bytes > self._limits.record_bytes:
                raise Refusal(Status.TOO_LARGE)
        except Refusal as refusal:
            raise Refusal(refusal.status, index) from None
        self._results.append(result)

    def shown(self, want: Want) -> tuple[Fields | None, Fields | None, Fields | None] | None:
        """What a reply carries for `changed`: the fields this command changed, as they stand now."""
        if want is not Want.CHANGED:
            return None
        shown = [
            {name: self.bags[bag][name] for name in self._changed[bag] if name in self.bags[bag]} for bag in (0, 1)
        ]
        return shown[0], shown[1], None

    def _put(self, bag: int, name: str, raw: bytes) -> None:
        if len(name.encode()) > self._limits.name_bytes:
            raise Refusal(Status.TOO_LARGE)
        self.bags[bag][name] = raw
        self._changed[bag][name] = None
        self.effective = True

    def _drop(self, bag: int, name: str) -> None:
        del self.bags[bag][name]
        self._changed[bag][name] = None
        self.effective = True

    def _set(self, operation: Set) -> Result:
        self._put(operation.bag, operation.name, operation.raw)
        return None

    def _remove(self, operation: Remove) -> Result:
        if operation.name not in self.bags[operation.bag]:
            return False
        self._drop(operation.bag, operation.name)
        return True

    def _increment(self, operation: Increment) -> Result:
        raw = self.bags[operation.bag].get(operation.name)
        amount = operation.amount
        if raw is None:
            made = encode_field(amount)
        elif raw[0] == INT and isinstance(amount, int):
            total = _int(raw) + amount
            if not -(2**63) <= total < 2**63:
                raise Refusal(Status.WRONG_TYPE)
            made = encode_field(total)
        elif raw[0] in (INT, FLOAT):
            made = encode_field(_number(raw) + float(amount))
        else:
            raise Refusal(Status.WRONG_TYPE)
        if made[0] == FLOAT and not math.isfinite(_number(made)):
            raise Refusal(Status.WRONG_TYPE)
        self._put(operation.bag, operation.name, made)
        return made

    def _append(self, operation: Append) -> Result:
        parts = self._list(operation.bag, operation.name) or []
        if not operation.values:
            return encode_field(len(parts))
        parts += operation.values
        if operation.keep >= 0:
            parts = parts[max(len(parts) - operation.keep, 0) :]
        self._put(operation.bag, operation.name, join_elements(LIST, parts))
        return encode_field(len(parts))

    def _pop(self, operation: Pop) -> Result:
        parts = self._list(operation.bag, operation.name)
        if not parts:
            return None
        popped = parts.pop(0 if operation.first else -1)
        self._put(operation.bag, operation.name, join_elements(LIST, parts))
        return popped

    def _take(self, operation: Take) -> Result:
        raw = self.bags[operation.bag].get(operation.name)
        if raw is not None:
            self._drop(operation.bag, operation.name)
        return raw

    def _set_default(self, operation: SetDefault) -> Result:
        raw = self.bags[operation.bag].get(operation.name)
        if raw is not None:
            return raw
        self._put(operation.bag, operation.name, operation.raw)
        return operation.raw

    def _compare_and_set(self, operation: CompareAndSet) -> Result:
        if self.bags[operation.bag].get(operation.name) != operation.expected:
            return False
        if operation.raw is not None:
            self._put(operation.bag, operation.name, operation.raw)
        elif operation.expected is not None:
            self._drop(operation.bag, operation.name)
        return True

    def _remember(self, operation: Remember) -> Result:
        raw = self.bags[META].get(operation.name)
        if raw is not None and raw[0] != RECENT:
            raise Refusal(Status.WRONG_TYPE)
        parts = [] if raw is None else stored_elements(raw)
        if operation.value in parts:
            return False
        parts = [*parts, operation.value][-operation.keep :]
        self._put(META, operation.name, join_elements(RECENT, parts))
        return True

    def _allow(self, operation: Allow) -> Result:
        raw = self.bags[META].get(operation.name)
        if raw is not None:
            if raw[0] != GATE:
                raise Refusal(Status.WRONG_TYPE)
            if self._now - _int(raw) < operation.every:
                return False
        self._put(META, operation.name, bytes((GATE,)) + self._now.to_bytes(8, "big", signed=True))
        return True

    def _list(self, bag: int, name: str) -> list[bytes] | None:
        raw = self.bags[bag].get(name)
        if raw is None:
            return None
        if raw[0] != LIST:
            raise Refusal(Status.WRONG_TYPE)
        return stored_elements(raw)


def stored_elements(raw: bytes) -> list[bytes]:
    """The elements of a stored LIST or RECENT; CorruptRecord if they cannot be read."""
    try:
        return elements(raw)
    except ValueError:
        raise CorruptRecord("a stored list cannot be read") from None


def _number(raw: bytes) -> float:
    if raw[0] == INT:
        return float(_int(raw))
    if len(raw) != 9:
        raise CorruptRecord("a stored number cannot be read")
    return float(_DOUBLE.unpack(raw[1:])[0])


def _int(raw: bytes) -> int:
    if len(raw) != 9:
        raise CorruptRecord("a stored number cannot be read")
    return int.from_bytes(raw[1:], "big", signed=True)


_OPERATIONS: Final[dict[int, Callable[..., Result]]] = {
    Set.code: Draft._set,
    Remove.code: Draft._remove,
    Increment.code: Draft._increment,
    Append.code: Draft._append,
    Pop.code: Draft._pop,
    Take.code: Draft._take,
    SetDefault.code: Draft._set_default,
    CompareAndSet.code: Draft._compare_and_set,
    Remember.code: Draft._remember,
    Allow.code: Draft._allow,
}


def check_length(command: Change, limits: Limits) -> None:
    """One command may not hold the place for long: everyone else's commands wait behind it.

    Raises:
        Refusal: too_large.
    """
    parts = 0
    if isinstance(command, (Commit, Delete)):
        parts = len(command.guards)
    if isinstance(command, Commit):
        parts += len(command.operations) + len(command.retain)
    if parts > limits.operations:
        raise Refusal(Status.TOO_LARGE)


def check_size(record: Record, limits: Limits) -> None:
    """A record that is about to be stored.

    Raises:
        Refusal: too_large, or busy for what its ring holds.
    """
    count = sum(map(len, record.bags))
    if count > limits.fields:
        raise Refusal(Status.TOO_LARGE)
    # What others do (ring, queue, previous) must not make a session too large for its user. Most records are far below
    # the limit, and a sum that is sure to be too high spares encoding them.
    most = _HEADER + 4 * len(record.id) + 7 * count
    for fields in filter(None, record.bags):
        most += 4 * sum(map(len, fields)) + sum(map(len, fields.values()))
    if most > limits.record_bytes:
        own = replace(record, ring=(), queue=(), previous=())
        if len(own.encode()) > limits.record_bytes:
            raise Refusal(Status.TOO_LARGE)
    check_results(record, limits)


def check_results(record: Record, limits: Limits) -> None:
    """Values taken out of a record stand in its ring until their takers cannot ask again: they need a bound too.

    Raises:
        Refusal: busy.
    """
    if sum([len(entry.results) for entry in record.ring]) > limits.record_bytes:
        raise Refusal(Status.BUSY)
