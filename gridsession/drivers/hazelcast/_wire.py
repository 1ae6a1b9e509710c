"""Bytes of the members' protocol that this driver writes and reads itself: keys, processors, requests, values.

Nothing here asks the client to make an object of what a member sent. The client would unpickle a value of type -120,
which is code execution for whoever can write to the grid; here a value is of the one type it must be, or refused.

A message is a chain of frames `i32 size, u16 flags, payload` (little-endian); a `Data` is `i32 partition hash, i32
type, payload` (big-endian).
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import mmh3

from gridsession._identity import Space
from gridsession.errors import CodecError

FACTORY_ID: Final = 18259
COMMAND_CLASS_ID: Final = 1
PROBE_CLASS_ID: Final = 3
PROBE_MAP: Final = "gridsession.probe"

_STRING_TYPE = b"\xff\xff\xff\xf5"
_BYTES_TYPE = b"\xff\xff\xff\xf4"
_HASH_SEED = 0x01000193

_FINAL = 0x2000
_BEGIN, _END, _NULL = 0x1000, 0x0800, 0x0400
_WHOLE = 0xC000
_BACKUP_AWARE = 0x0100

_CREATE_PROXY = 0x000400
_EXECUTE_ON_KEY = 0x012E00
COMMAND_ANSWER: Final = _EXECUTE_ON_KEY + 1
"""The message type of what answers a command."""
_FETCH_ENTRIES = 0x013800
_REPLICATED_ENTRIES = 0x0D1100

_FRAME = struct.Struct("<iH")
_START = struct.Struct("<iHiqi")
_ADDRESS = struct.Struct("<qi")
_ADDRESS_AT = 10
_THREAD = struct.Struct("<q")
_BATCH = struct.Struct("<i")
_POINTER = struct.Struct("<ii")
_PROCESSOR = struct.Struct(">iibii")
_SIZE = struct.Struct(">i")
_EVENT_TYPE = struct.Struct("<i")

# The thread id of a request matters to locks only, which nobody takes.
_THREAD_ID = 1
_ACKS_AT = 12
_EVENT_TYPE_AT = 16

START_POINTERS: Final = ((2_147_483_647, -1),)
"""The iteration pointers a partition's first page is asked with."""

Pointers = tuple[tuple[int, int], ...]


def records_map(space: Space) -> str:
    """The name of the map that holds a space's records."""
    kind = "globals-records" if space.kind == "globals" else "sessions"
    return f"gridsession.{kind}.{space.namespace}"


def published_map(space: Space) -> str:
    """The name of the replicated map in which members publish a namespace's globals."""
    return f"gridsession.globals.{space.namespace}"


class Key(NamedTuple):
    """An id as the grid sees it: the last frame of a request, and the partition it lives in."""

    frame: bytes
    partition: int
    text: bytes

    @property
    def data(self) -> bytes:
        """The key's `Data`."""
        return self.frame[_FRAME.size :]


def key_data(text: str) -> bytes:
    """The `Data` of a String key, its partition hash filled in: the members then need not compute it."""
    encoded = text.encode()
    payload = _SIZE.pack(len(encoded)) + encoded
    return _SIZE.pack(mmh3.hash(payload, _HASH_SEED)) + _STRING_TYPE + payload


def partition_of(data: bytes, count: int) -> int:
    """The partition of a key whose hash is filled in."""
    (value,) = _SIZE.unpack_from(data)
    return 0 if value == -(2**31) else abs(value) % count


class Keys:
    """Keys made before, at most `size` of them; the ones not used for longest go first."""

    __slots__ = ("_count", "_kept", "_size")

    def __init__(self, partition_count: int, size: int = 16_384) -> None:
        self._count = partition_count
        self._size = size
        self._kept: OrderedDict[str, Key] = OrderedDict()

    def get(self, text: str) -> Key:
        """The key of an id."""
        key = self._kept.get(text)
        if key is not None:
            self._kept.move_to_end(text)
            return key
        data = key_data(text)
        frame = _FRAME.pack(_FRAME.size + len(data), _FINAL) + data
        key = self._kept[text] = Key(frame, partition_of(data, self._count), data[12:])
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return key


def processor_data(class_id: int, body: bytes) -> bytes:
    """The `Data` of one of our processors, whose body is a byte array."""
    return _PROCESSOR.pack(0, -2, 1, FACTORY_ID, class_id) + _SIZE.pack(len(body)) + body


def probe_data() -> bytes:
    """The `Data` of the probe, which has no body."""
    return _PROCESSOR.pack(0, -2, 1, FACTORY_ID, PROBE_CLASS_ID)


def request(message_type: int, fixed: bytes, *frames: bytes, backup_aware: bool = False) -> bytearray:
    """A request: its start frame with the fixed arguments, then one frame for each of the others."""
    flags = _WHOLE | (_BACKUP_AWARE if backup_aware else 0) | (0 if frames else _FINAL)
    parts = [_START.pack(_START.size + len(fixed), flags, message_type, 0, -1), fixed]
    last = len(frames) - 1
    for index, payload in enumerate(frames):
        parts += (_FRAME.pack(_FRAME.size + len(payload), _FINAL if index == last else 0), payload)
    return bytearray(b"".join(parts))


def address(buffer: bytearray, correlation_id: int, partition: int) -> None:
    """Fill in what is known only when a request is sent."""
    _ADDRESS.pack_into(buffer, _ADDRESS_AT, correlation_id, partition)


class ExecuteFrames:
    """Requests to run a processor on a key of one map; what all of them share is made once."""

    __slots__ = ("_map", "name")

    def __init__(self, map_name: str) -> None:
        self.name = map_name
        encoded = map_name.encode()
        self._map = _THREAD.pack(_THREAD_ID) + _FRAME.pack(_FRAME.size + len(encoded), 0) + encoded

    def command(self, command: bytes, key: Key, correlation_id: int) -> bytes:
        """The request that applies a command, ready to be sent to the key's partition."""
        size = len(command)
        return b"".join(
            (
                _START.pack(_EXECUTE_START, _EXECUTE_FLAGS, _EXECUTE_ON_KEY, correlation_id, key.partition),
                self._map,
                _FRAME.pack(_COMMAND_FRAME + size, 0),
                _COMMAND_HEAD,
                _SIZE.pack(size),
                command,
                key.frame,
            )
        )

    def processor(self, data: bytes, key: Key) -> bytearray:
        """The request that runs a processor given as `Data`; `address` completes it."""
        start = _START.pack(_EXECUTE_START, _EXECUTE_FLAGS, _EXECUTE_ON_KEY, 0, -1)
        return bytearray(b"".join((start, self._map, _FRAME.pack(_FRAME.size + len(data), 0), data, key.frame)))


_EXECUTE_START = _START.size + _THREAD.size
_EXECUTE_FLAGS = _WHOLE | _BACKUP_AWARE
_COMMAND_HEAD = _PROCESSOR.pack(0, -2, 1, FACTORY_ID, COMMAND_CLASS_ID)
_COMMAND_FRAME = _FRAME.size + len(_COMMAND_HEAD) + _SIZE.size


def introduce_request(map_name: str) -> bytearray:
    """The request that makes a map known to the cluster as an object of its own, as the official client's `get_map`."""
    return request(_CREATE_PROXY, b"", map_name.encode(), b"hz:impl:mapService")


def fetch_request(map_name: str, batch: int, pointers: Pointers) -> bytearray:
    """The request for about `batch` entries of a partition from where the pointers stand."""
    packed = b"".join(_POINTER.pack(*pointer) for pointer in pointers)
    return request(_FETCH_ENTRIES, _BATCH.pack(batch), map_name.encode(), packed)


def replicated_entries_request(map_name: str) -> bytearray:
    """The request for all entries of a replicated map, as one member holds them."""
    return request(_REPLICATED_ENTRIES, b"", map_name.encode())


# --- what members send ----------------------------------------------------------------------------------------------
# `message` is the client's InboundMessage; only its frames' bytes and flags are read.


Answered = tuple[int, bytes | None]
"""What a member answered to a command: how many backups confirmed it, and the `Data` it carries, if any."""


def answered(message: Any) -> Answered:
    """The answer to a command, from the client's message or as it is; each of its backups was waited for."""
    if type(message) is tuple:
        return message
    start = message.start_frame
    frame = start.next
    return start.buf[_ACKS_AT], None if frame is None or frame.flags & _NULL else frame.buf


def answer(message: Any) -> bytes | None:
    """The byte array an answer carries; None if it carries nothing.

    Raises:
        CodecError: it carries anything else.
    """
    frame = message.start_frame.next
    if frame is None or frame.flags & _NULL:
        return None
    return bytes_value(frame.buf)


def bytes_value(data: bytes) -> bytes:
    """The content of a `Data` that must be a byte array.

    Raises:
        CodecError: it is anything else; nothing of it was read.
    """
    if data[4:8] != _BYTES_TYPE or len(data) < 12 or _SIZE.unpack_from(data, 8)[0] != len(data) - 12:
        raise CodecError(
            f"a value of type {_type_of(data)} stands where gridsession keeps bytes (type -12): something else wrote to"
            " its maps; it was not read and is left as it is"
        )
    return bytes(data[12:])


def text_key(data: bytes) -> str:
    """The text of a `Data` that must be a String.

    Raises:
        CodecError: it is anything else; nothing of it was read.
    """
    if data[4:8] != _STRING_TYPE or len(data) < 12 or _SIZE.unpack_from(data, 8)[0] != len(data) - 12:
        raise CodecError(f"a key of type {_type_of(data)} stands where gridsession keeps ids (type -11)")
    try:
        return bytes(data[12:]).decode()
    except UnicodeDecodeError:
        raise CodecError("a key is not UTF-8") from None


def _type_of(data: bytes) -> object:
    return _SIZE.unpack_from(data, 4)[0] if len(data) >= 8 else "none"


def fetched(message: Any) -> tuple[Pointers, list[tuple[bytes, bytes]]]:
    """What `fetch_request` brings: where to go on, and pairs of key `Data` and value `Data`.

    Raises:
        CodecError: not such an answer.
    """
    frame = message.start_frame.next
    if frame is None or len(frame.buf) % _POINTER.size:
        raise CodecError("a member's answer to a scan cannot be read")
    return tuple(_POINTER.iter_unpack(frame.buf)), list(_pairs(frame.next))


def replicated_entries(message: Any) -> list[tuple[bytes, bytes]]:
    """What `replicated_entries_request` brings: pairs of key `Data` and value `Data`.

    Raises:
        CodecError: not such an answer.
    """
    return list(_pairs(message.start_frame.next))


def _pairs(frame: Any) -> Iterator[tuple[bytes, bytes]]:
    key: bytes | None = None
    while frame is not None:
        if not frame.flags & (_BEGIN | _END | _NULL):
            if key is None:
                key = bytes(frame.buf)
            else:
                yield key, bytes(frame.buf)
                key = None
        frame = frame.next
    if key is not None:
        raise CodecError("a member's list of entries cannot be read: a key without a value")


class Event(NamedTuple):
    """An entry event: its type (a bit of the listener flags) and the `Data` of key and new value, where it has them."""

    kind: int
    key: bytes | None
    value: bytes | None


def event(message: Any) -> Event:
    """Read an entry event; struct.error or AttributeError if it is not one."""
    start = message.start_frame
    (kind,) = _EVENT_TYPE.unpack_from(start.buf, _EVENT_TYPE_AT)
    key, value = start.next, start.next.next
    return Event(
        kind,
        None if key.flags & _NULL else bytes(key.buf),
        None if value.flags & _NULL else bytes(value.buf),
    )
