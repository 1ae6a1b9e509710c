"""Values to bytes and back: msgpack with extension types, strict, bounded, never pickle.

What goes in comes back equal and of the same type: None, bool, int of any size, float, str, bytes, list, tuple, dict
(keys str or int), set, frozenset, aware and naive datetime, date, time, timedelta, Decimal, UUID. An Enum is stored as
its value, a dataclass and a pydantic model as a dict of its fields; `gridsession._typed` gives them back. Anything else
is refused with the path to it. Equal sets give equal bytes.

Bounds are checked before anything is allocated: depth, number of items, no trailing bytes, unique keys.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import decimal
import enum
import functools
import struct
import uuid
import zoneinfo
from collections.abc import Callable, Mapping
from typing import Any

import msgpack

from gridsession import _bounds
from gridsession._bounds import MAX_DEPTH, MAX_ITEMS
from gridsession.errors import CodecError, InvalidValue

MAX_NESTED = 8
"""Most tuples and sets within each other: each level of them costs the decoder 40 KB of C stack (measured)."""

# Extension type numbers are part of the stored format: new ones may be added, old ones never change.
_TUPLE, _SET, _FROZENSET, _INT, _DATETIME, _DATE, _TIME, _TIMEDELTA, _DECIMAL, _UUID = range(1, 11)
_SETS = frozenset((_SET, _FROZENSET))
_OF_LISTS = _SETS | {_TUPLE, _DATETIME, _TIME}
_MAX_INT_BYTES = 1024
_MAX_DECIMAL_CHARS = 1024
# A payload this small cannot grow beyond ~300 KB of objects (73 bytes of memory per byte at worst, measured), so the
# walk that bounds depth and items is spared; unless headers could claim much more than that, which msgpack allocates
# before it reads on: an array or map of 16 and more claims at most as many places as there are bytes. Only tiny ones
# share a decoder, for there a header may claim what lies beyond its own value.
_SMALL, _TINY = 4096, 256
_WIDE, _MOST_WIDE = (b"\xdc", b"\xdd", b"\xde", b"\xdf"), 8
# From as many values on, one decoder for all of them is quicker than a call for each (measured: short texts break even
# at 12 to 24, 800 of them take a third of the time).
_MANY = 32

_PLAIN = frozenset({str, bool, bytes, float, type(None)})
_UNCHECKED = _PLAIN - {str}
# Text is what most values are, and short: by hand it takes a third of the time.
_TEXT_HEADS = tuple(bytes((0xA0 | size,)) if size < 32 else bytes((0xD9, size)) for size in range(256))
_FIXED_TEXT, _TEXT8 = range(0xA0, 0xC0), 0xD9
_CONSTANTS: Mapping[bytes, bool | None] = {b"\xc0": None, b"\xc2": False, b"\xc3": True}

Extension = msgpack.ExtType
_Encoder = Callable[[Any, str, int, int], object]


def encode(value: object) -> bytes:
    """The bytes of a value.

    Raises:
        InvalidValue: the value, or something in it, cannot be stored; `path` says where.
    """
    kind = type(value)
    if kind is str:
        text = _utf8(value, "$")  # type: ignore[arg-type]  # kind is str
        if len(text) < len(_TEXT_HEADS):
            return _TEXT_HEADS[len(text)] + text
    elif kind not in _PLAIN:
        value = _plain(value, "$", 0, 0)
    try:
        packed: bytes = msgpack.packb(value)
    except (ValueError, RecursionError):
        # Only text is left to check here: nothing else that `_plain` lets through can fail.
        raise _surrogate("$") from None
    if len(packed) > _SMALL:
        try:
            _scan(packed)
        except CodecError as error:
            raise InvalidValue(f"$ cannot be stored: {error}") from None
    return packed


def decode(data: bytes) -> Any:
    """The value of its bytes.

    Raises:
        CodecError: not bytes that `encode` made: unknown extension, too deep, too many items, trailing bytes, twice
            the same key.
    """
    if len(data) == 1 and data in _CONSTANTS:
        return _CONSTANTS[data]
    try:
        first, size = data[0], len(data)
        if first in _FIXED_TEXT:
            if size == first - 0x9F:
                return str(data[1:], "utf-8")
        elif first == _TEXT8 and size > 1 and size == data[1] + 2:
            return str(data[2:], "utf-8")
        return _decode(data, 0)
    except CodecError:
        raise
    except _FAULTS as error:
        # The library's messages may quote the data; the class alone is safe to show.
        raise CodecError(f"stored value cannot be decoded ({type(error).__name__})") from None


def decode_all(parts: list[bytes]) -> list[Any]:
    """The values of many, each as `decode` gives it.

    Raises:
        CodecError: as `decode`, of the first that cannot be decoded.
    """
    if len(parts) >= _MANY and max(map(len, parts)) <= _TINY:
        data = b"".join(parts)
        if b"\xff" not in data:
            with contextlib.suppress(CodecError, msgpack.OutOfData, *_FAULTS):
                return _decode_tiny(parts, data)
    return [decode(part) for part in parts]


def _decode_tiny(parts: list[bytes], data: bytes) -> list[Any]:
    unpacker = msgpack.Unpacker(
        None,
        strict_map_key=False,
        object_pairs_hook=_unique,
        ext_hook=_HOOKS[0],
        max_buffer_size=len(data),
        max_array_len=_TINY,
        max_map_len=_TINY,
    )
    unpacker.feed(data)
    values, end = [], 0
    for part in parts:
        values.append(unpacker.unpack())
        end += len(part)
        if unpacker.tell() != end:
            raise CodecError("a stored value does not end where it should")
    return values


def _decode(data: bytes, nested: int) -> Any:
    size = len(data)
    # 0xff may be msgpack's own extension -1 (timestamp), which it decodes unasked: the scan refuses it.
    if size > _SMALL or b"\xff" in data or (size > _TINY and sum(map(data.count, _WIDE)) > _MOST_WIDE):
        _scan(data)
    items = min(size, MAX_ITEMS)
    return msgpack.unpackb(
        data,
        strict_map_key=False,
        object_pairs_hook=_unique,
        ext_hook=_HOOKS[nested],
        max_array_len=items,
        max_map_len=items,
    )


def _plain(value: object, path: str, depth: int, nested: int) -> object:
    """The value in types that msgpack packs by itself, or the first part of it that cannot be stored.

    Args:
        depth: containers around it.
        nested: tuples and sets among them.
    """
    kind = type(value)
    if kind in _PLAIN:
        if kind is str and not value.isascii():  # type: ignore[attr-defined]  # kind is str
            _text(value, path)  # type: ignore[arg-type]  # same
        return value
    if kind is list:
        _deep(path, depth)
        items: list[object] = value  # type: ignore[assignment]  # kind is list
        return [
            item if _packs_itself(item) else _plain(item, f"{path}[{index}]", depth + 1, nested)
            for index, item in enumerate(items)
        ]
    if kind is dict:
        _deep(path, depth)
        return {
            _key(key, path): item if _packs_itself(item) else _plain(item, _below(path, key), depth + 1, nested)
            for key, item in value.items()  # type: ignore[attr-defined]  # kind is dict
        }
    encoder = _ENCODERS.get(kind)
    if encoder is not None:
        return encoder(value, path, depth, nested)
    if isinstance(value, enum.Enum):
        return _plain(value.value, path, depth, nested)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(_members(value, path), path, depth, nested)
    dump = getattr(kind, "model_dump", None)
    if callable(dump):
        return _plain(dump(value), path, depth, nested)
    raise InvalidValue(f"{path} is a {kind.__qualname__}, which cannot be stored", path=path)


def _packs_itself(value: object) -> bool:
    """Whether nothing of a value needs a look; most need none, and then no path to it is made."""
    kind = type(value)
    if kind is str:
        return value.isascii()  # type: ignore[attr-defined,no-any-return]  # kind is str
    return kind in _UNCHECKED or (kind is int and -(2**63) <= value < 2**64)  # type: ignore[operator]  # kind is int


def _deep(path: str, depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise InvalidValue(f"{path} lies deeper than {MAX_DEPTH} levels, or contains itself", path=path)


def _members(value: Any, path: str) -> dict[str, object]:
    try:
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    except AttributeError:
        raise InvalidValue(f"{path} is a {type(value).__qualname__} with an unset field", path=path) from None


def _key(key: object, path: str) -> object:
    if type(key) is str:
        return key if key.isascii() else _text(key, path)
    if type(key) is int and -(2**63) <= key < 2**64:
        return key
    raise InvalidValue(
        f"{path} has a key of type {type(key).__name__} or out of range; keys are str or 64-bit int", path=path
    )


def _below(path: str, key: object) -> str:
    return f"{path}.{key}" if type(key) is str else f"{path}[{key}]"


def _text(text: str, path: str) -> str:
    _utf8(text, path)
    return text


def _utf8(text: str, path: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise _surrogate(path) from None


def _surrogate(path: str) -> InvalidValue:
    return InvalidValue(f"{path} is text with a lone surrogate, which has no UTF-8 form", path=path)


def _packed(value: object) -> bytes:
    packed: bytes = msgpack.packb(value)
    return packed


def _extension(code: int, payload: bytes, path: str) -> object:
    if len(payload) > _SMALL:
        try:
            _scan(payload)
        except CodecError as error:
            raise InvalidValue(f"{path} cannot be stored: {error}", path=path) from None
    return Extension(code, payload)


def _inner(path: str, depth: int, nested: int) -> int:
    _deep(path, depth)
    if nested >= MAX_NESTED:
        raise InvalidValue(f"{path} nests more than {MAX_NESTED} tuples or sets", path=path)
    return nested + 1


def _tuple(value: tuple[object, ...], path: str, depth: int, nested: int) -> object:
    inner = _inner(path, depth, nested)
    items = [_plain(item, f"{path}[{index}]", depth + 1, inner) for index, item in enumerate(value)]
    return _extension(_TUPLE, _packed(items), path)


def _set(code: int) -> _Encoder:
    def pack(value: set[object] | frozenset[object], path: str, depth: int, nested: int) -> object:
        inner = _inner(path, depth, nested)
        elements = sorted(_packed(_plain(element, f"{path}[]", depth + 1, inner)) for element in value)
        return _extension(code, struct.pack(">BI", 0xDD, len(elements)) + b"".join(elements), path)

    return pack


def _int(value: int, path: str, depth: int, nested: int) -> object:
    if -(2**63) <= value < 2**64:
        return value
    size = value.bit_length() // 8 + 1
    if size > _MAX_INT_BYTES:
        raise InvalidValue(f"{path} is an int of more than {_MAX_INT_BYTES} bytes", path=path)
    return Extension(_INT, value.to_bytes(size, "big", signed=True))


def _moment(code: int) -> _Encoder:
    def pack(value: dt.datetime | dt.time, path: str, depth: int, nested: int) -> object:
        text = value.replace(tzinfo=None, fold=0).isoformat()
        return Extension(code, _packed([text, value.fold, _zone(value.tzinfo, path)]))

    return pack


def _zone(zone: dt.tzinfo | None, path: str) -> object:
    if zone is None:
        return None
    if type(zone) is dt.timezone:
        offset = zone.utcoffset(None)
        return [offset.days, offset.seconds, offset.microseconds]
    if isinstance(zone, zoneinfo.ZoneInfo) and zone.key is not None:
        return zone.key
    raise InvalidValue(f"{path} has a time zone of type {type(zone).__qualname__}, which cannot be stored", path=path)


def _decimal(value: decimal.Decimal, path: str, depth: int, nested: int) -> object:
    text = str(value)
    if len(text) > _MAX_DECIMAL_CHARS:
        raise InvalidValue(f"{path} is a Decimal of more than {_MAX_DECIMAL_CHARS} characters", path=path)
    return Extension(_DECIMAL, text.encode())


def _duration(value: dt.timedelta, path: str, depth: int, nested: int) -> object:
    return Extension(_TIMEDELTA, struct.pack(">iii", value.days, value.seconds, value.microseconds))


_ENCODERS: Mapping[type, _Encoder] = {
    tuple: _tuple,
    set: _set(_SET),
    frozenset: _set(_FROZENSET),
    int: _int,
    dt.datetime: _moment(_DATETIME),
    dt.date: lambda value, path, depth, nested: Extension(_DATE, value.isoformat().encode()),
    dt.time: _moment(_TIME),
    dt.timedelta: _duration,
    decimal.Decimal: _decimal,
    uuid.UUID: lambda value, path, depth, nested: Extension(_UUID, value.bytes),
}


def _decode_extension(nested: int, code: int, data: bytes) -> object:
    decoder = _DECODERS.get(code)
    if decoder is None:
        raise CodecError(f"stored value has the unknown extension type {code}: it was written by a newer version")
    return decoder(data, nested)


def _items(data: bytes, nested: int) -> list[Any]:
    if nested > MAX_NESTED:
        raise CodecError(f"stored value nests more than {MAX_NESTED} tuples or sets")
    return _list(data, nested)


def _list(data: bytes, nested: int) -> list[Any]:
    value = _decode(data, nested)
    if type(value) is not list:
        raise CodecError("stored extension does not hold a list")
    return value


def _zoned(data: bytes, nested: int) -> tuple[str, int, dt.tzinfo | None]:
    text, fold, zone = _list(data, nested)
    if zone is None:
        return text, fold, None
    if isinstance(zone, str):
        return text, fold, zoneinfo.ZoneInfo(zone)
    days, seconds, microseconds = zone
    return text, fold, dt.timezone(dt.timedelta(days, seconds, microseconds))


def _decode_datetime(data: bytes, nested: int) -> dt.datetime:
    text, fold, zone = _zoned(data, nested)
    return dt.datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold)


def _decode_time(data: bytes, nested: int) -> dt.time:
    text, fold, zone = _zoned(data, nested)
    return dt.time.fromisoformat(text).replace(tzinfo=zone, fold=fold)


def _decode_int(data: bytes, nested: int) -> int:
    if len(data) > _MAX_INT_BYTES:
        raise CodecError("stored int is too long")
    return int.from_bytes(data, "big", signed=True)


def _decode_decimal(data: bytes, nested: int) -> decimal.Decimal:
    if len(data) > _MAX_DECIMAL_CHARS:
        raise CodecError("stored Decimal is too long")
    return decimal.Decimal(data.decode("ascii"))


_DECODERS: Mapping[int, Callable[[bytes, int], object]] = {
    _TUPLE: lambda data, nested: tuple(_items(data, nested)),
    _SET: lambda data, nested: set(_items(data, nested)),
    _FROZENSET: lambda data, nested: frozenset(_items(data, nested)),
    _INT: _decode_int,
    _DATETIME: _decode_datetime,
    _DATE: lambda data, nested: dt.date.fromisoformat(data.decode("ascii")),
    _TIME: _decode_time,
    _TIMEDELTA: lambda data, nested: dt.timedelta(*struct.unpack(">iii", data)),
    _DECIMAL: _decode_decimal,
    _UUID: lambda data, nested: uuid.UUID(bytes=data),
}


_HOOKS = tuple(functools.partial(_decode_extension, nested) for nested in range(1, MAX_NESTED + 3))
_FAULTS = (
    ValueError,
    TypeError,
    LookupError,
    OverflowError,
    RecursionError,
    OSError,
    ArithmeticError,
    struct.error,
)


def _unique(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise CodecError("stored map has the same key twice")
    for key in made:
        if type(key) is not str and type(key) is not int:
            raise CodecError(f"stored map has a key of type {type(key).__name__}")
    return made


def _scan(data: bytes) -> None:
    """Refuse what would become too much, before msgpack allocates anything."""
    _bounds.check(data, _OF_LISTS, _SETS)
