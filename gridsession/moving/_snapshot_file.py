"""The file of a snapshot: format number 1. Written as one stream, checked block by block, never held whole in memory.

All numbers are big-endian. The file is `GSRSNAP` and u8 format number (1), then blocks, the last of them END::

    u8 type, u32 length, payload of that length, 32 bytes SHA-256

A block's SHA-256 is of the one before it (of the file's first 8 bytes for the first block), then type, length and
payload. So each checksum stands for everything up to there, and that of END for the whole file: a byte that differs, a
block that is missing, doubled or moved, and a file that is cut off are all noticed, and where.

=======  ==  ========================================================================================================
START    1   JSON: `id` (32 hex digits, random), `version` of gridsession, `move` (what it was made of, as a digest),
             `namespaces`
RECORDS  2   u16 index of the namespace, u8 kind (0 sessions, 1 globals), i64 the place's clock when they were read (ms
             since 1970), u32 count, then each record as u32 length and its bytes, `GSR` (`gridsession._record`),
             without lease, queue and ring
PAGE     3   JSON: `space` (namespace's index, kind) and `cursor` of the scan where it stands now (null: that space is
             through); `records`, `content` and `report` so far: what one that was ended goes on from
END      4   JSON: `records` (how many, by `namespace/kind`), `content` (a digest of all records, whatever their order
             and namespace, without their times: two places that hold the same have the same)
=======  ==  ========================================================================================================

A file under way is called `<name>.part` and becomes `<name>` when it is whole and on disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from gridsession._record import Reader
from gridsession.errors import CodecError, Unavailable

FORMAT: Final = 1
START, RECORDS, PAGE, END = 1, 2, 3, 4
KINDS: Final = ("sessions", "globals")
_MOST: Final = 64 << 20
"""No block is longer: a length beyond it is damage, and nothing is allocated for it."""
MAGIC: Final = b"GSRSNAP"
HEAD = struct.Struct(">BI")
GROUP = struct.Struct(">HBqI")
_SUM: Final = 32


class Block(NamedTuple):
    """One block: its number (0 = START), where it begins in the file, its type and payload."""

    number: int
    offset: int
    type: int
    payload: bytes

    def json(self) -> dict[str, Any]:
        """The content of a block of JSON; ValueError if it is not that."""
        found = json.loads(self.payload)
        if not isinstance(found, dict):
            raise ValueError
        return found


class Group(NamedTuple):
    """What a RECORDS block holds: whose records, when they were read (ms of that place's clock), their bytes."""

    namespace: int
    kind: str
    now: int
    records: tuple[bytes, ...]

    @classmethod
    def read(cls, block: Block) -> Group:
        """A RECORDS block; ValueError or struct.error if it is not that."""
        reader = Reader(block.payload)
        namespace, kind, now, count = reader.unpack(GROUP)
        records = tuple(reader.bytes32() for _ in range(count))
        reader.end()
        return cls(namespace, KINDS[kind], now, records)


class SnapshotReader:
    """Reads a file's blocks, each checked before it is handed out.

    Raises:
        CodecError: it is no snapshot, of a format this version does not know, or damaged; the message says where.
        Unavailable: the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def blocks(self, after: int = -1) -> Iterator[Block]:
        """All blocks in order, END among them as the last; only those after a number are given, all are checked."""
        with typed(self.path), self.path.open("rb") as file:
            for block, _ in self._read(file):
                if block.number > after:
                    yield block

    def resumable(self, file: IO[bytes]) -> tuple[list[Block], int, bytes]:
        """The START and the last PAGE of a file under way, where that ends, and its checksum; ([], 0, b"") if none."""
        kept: list[Block] = []
        end, chain = 0, b""
        with contextlib.suppress(CodecError):
            for block, digest in self._read(file):
                if block.type in (START, PAGE):
                    kept = [*kept[:1], block]
                    end, chain = file.tell(), digest
        return kept, end, chain

    def _read(self, file: IO[bytes]) -> Iterator[tuple[Block, bytes]]:
        head = file.read(len(MAGIC) + 1)
        if head[:-1] != MAGIC:
            raise CodecError(f"{self.path} is no snapshot of gridsession")
        if head[-1] != FORMAT:
            raise CodecError(
                f"{self.path} is a snapshot of format {head[-1]} and this version reads format {FORMAT}: update it"
            )
        chain = hashlib.sha256(head).digest()
        number, kind = 0, 0
        while kind != END:
            offset = file.tell()
            fixed = file.read(HEAD.size)
            if not fixed:
                raise self._cut(number, offset, "its end is missing, so the snapshot was not finished or was cut off")
            if len(fixed) < HEAD.size:
                raise self._cut(number, offset, "it is cut off there")
            kind, length = HEAD.unpack(fixed)
            if not START <= kind <= END or length > _MOST or (kind == START) != (number == 0):
                raise self._damaged(number, offset, "what stands there is no block")
            # Never more than is there: a length makes room for itself before it is found out to be a lie.
            payload = file.read(min(length, os.fstat(file.fileno()).st_size - file.tell()))
            told = file.read(_SUM)
            if len(payload) < length or len(told) < _SUM:
                there = len(payload) + len(told)
                raise self._cut(number, offset, f"{length + _SUM:,} bytes should follow and {there:,} do")
            chain = chained(chain, kind, payload)
            if chain != told:
                raise self._damaged(number, offset, "its checksum does not fit its content")
            yield Block(number, offset, kind, payload), chain
            number += 1
        if file.read(1):
            raise self._damaged(number, file.tell() - 1, "more bytes follow the end")

    def _cut(self, number: int, offset: int, what: str) -> CodecError:
        return CodecError(f"{self.path} is incomplete: at byte {offset:,} (block {number}) {what}; {_REMEDY}")

    def _damaged(self, number: int, offset: int, what: str) -> CodecError:
        return CodecError(f"{self.path} is damaged: at byte {offset:,} (block {number}) {what}; {_REMEDY}")


_REMEDY: Final = "nothing was read of it or what follows: take another snapshot"


def chained(before: bytes, kind: int, payload: bytes) -> bytes:
    """A block's checksum, given that of the block before it."""
    digest = hashlib.sha256(before)
    digest.update(HEAD.pack(kind, len(payload)))
    digest.update(payload)
    return digest.digest()


@contextlib.contextmanager
def typed(path: Path) -> Iterator[None]:
    """Turn an OSError into one of ours.

    Raises:
        Unavailable: in place of any OSError.
    """
    try:
        yield
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror or type(error).__name__}", address=str(path)) from None
