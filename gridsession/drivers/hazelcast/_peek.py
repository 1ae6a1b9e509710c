"""A record's first fields: whether the session lives and which of two records is newer, without reading its bags."""

from __future__ import annotations

import struct
from typing import NamedTuple

from gridsession.errors import CodecError

_RECORD_HEAD = struct.Struct(">4sHH")
_U64 = struct.Struct(">Q")
_LIFE = struct.Struct(">Qqq")
_I64 = struct.Struct(">q")


class Peek(NamedTuple):
    """A record's first fields, enough to tell whether it lives and which of two is newer."""

    id: str
    epoch: int
    live: bool
    revision: int
    touched: int
    expires_at: int | None

    def exists(self, now: int) -> bool:
        """Whether the session exists at a time of the cluster's clock, ms."""
        return self.live and (self.expires_at is None or self.expires_at > now)

    @property
    def age(self) -> tuple[int, bool, int, int]:
        """Rises with every change: a record that is no longer live follows the live ones of its epoch."""
        return self.epoch, not self.live, self.revision, self.touched


def peek(record: bytes) -> Peek:
    """The first fields of a record (`gridsession._record` says which), without its bags.

    Raises:
        CodecError: not a record of format 1.
    """
    try:
        magic, flags, size = _RECORD_HEAD.unpack_from(record)
        if magic != b"GSR\x01" or size > len(record) - 16:
            raise ValueError
        identity = record[8 : 8 + size].decode()
        at = 8 + size
        (epoch,) = _U64.unpack_from(record, at)
        if not flags & 1:
            return Peek(identity, epoch, False, 0, 0, None)
        revision, created, touched = _LIFE.unpack_from(record, at + 8)
        at += 8 + _LIFE.size
        ends = []
        if flags & 2:
            ends.append(touched + _I64.unpack_from(record, at)[0])
            at += 8
        if flags & 4:
            ends.append(created + _I64.unpack_from(record, at)[0])
        return Peek(identity, epoch, True, revision, touched, min(ends, default=None))
    except (struct.error, ValueError):
        raise CodecError("a stored value is not a record of gridsession; it was left as it is") from None
