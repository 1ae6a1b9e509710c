"""A record as a readable document, for stores of plain JSON and for people, and back without losing a byte.

::

    {"id": "line:U1", "platform": "line", "lastActivity": 1700000000000,
     "state": {"step": "address", "price": {"$decimal": "10.50"}}, "props": {},
     "_gridsession": {"format": 1, "space": "sessions/default", "epoch": 1700000000000, "revision": 3, ...}}

A field is its plain value where JSON can say it and reading it back gives the very bytes of the record; else an object
of one key that begins with `$` and names the type; else `{"$raw": ...}`, the bytes themselves in base64. What is ours
alone (times, lease, queue, ring, former sessions, the bag `meta`) is under the one reserved name. `platform` and
`lastActivity` (when the ttl last began, ms since 1970) are for other readers; they are not read back.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import math
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

from gridsession._identity import Space
from gridsession._record import (
    META,
    PROPS,
    STATE,
    Fields,
    Lease,
    Previous,
    Record,
    Remembered,
    Waiter,
    decode_field,
    encode_field,
)
from gridsession.errors import CorruptRecord, GridSessionError

HEADER: Final = "_gridsession"
_FORMAT: Final = 1
_EXACT: Final = 2**53
"""Beyond it readers of JSON other than Python round whole numbers."""
_OPTIONAL: Final = ("ttl", "max_lifetime")
_COUNTS: Final = ("revision", "created", "touched", "last_token")


def to_document(record: Record, space: Space) -> dict[str, Any]:
    """The record as a document that shares nothing with it."""
    header: dict[str, Any] = {"format": _FORMAT, "space": f"{space.kind}/{space.namespace}", "epoch": record.epoch}
    header["live"] = record.live
    header |= {name: getattr(record, name) for name in _COUNTS if getattr(record, name)}
    header |= {name: getattr(record, name) for name in _OPTIONAL if getattr(record, name) is not None}
    if record.lease is not None:
        lease = record.lease
        header["lease"] = [lease.owner, lease.request_id.hex(), lease.token, lease.until]
    if record.queue:
        header["queue"] = [[waiter.owner, waiter.request_id.hex(), waiter.until] for waiter in record.queue]
    if record.ring:
        header["ring"] = [
            [one.op_id.hex(), one.not_after, one.status, one.epoch, one.revision, _base64(one.results)]
            for one in record.ring
        ]
    if record.announce:
        header["announce"] = True
    if record.previous:
        header["previous"] = [_ended(one) for one in record.previous]
    if record.bags[META]:
        header["meta"] = {name: _base64(raw) for name, raw in record.bags[META].items()}
    bags = {name: _plain_fields(record.bags[bag]) for bag, name in ((STATE, "state"), (PROPS, "props"))}
    document: dict[str, Any] = {"id": record.id, **bags, HEADER: header}
    if space.kind == "sessions":
        document |= {"platform": record.id.partition(":")[0], "lastActivity": record.touched}
    return document


def from_document(document: object) -> Record:
    """The record of a document; values changed by hand are taken as they are now.

    Raises:
        CorruptRecord: not a document of `to_document`.
    """
    try:
        return _from_document(document)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError, GridSessionError) as error:
        raise CorruptRecord(f"a document is no session of gridsession ({type(error).__name__})") from None


def _from_document(document: Any) -> Record:
    header = document[HEADER]
    if header["format"] != _FORMAT:
        raise ValueError
    lease = header.get("lease")
    meta = {name: _bytes(text) for name, text in header.get("meta", {}).items()}
    return Record(
        document["id"],
        header["epoch"],
        header["live"],
        **{name: header[name] for name in (*_COUNTS, *_OPTIONAL) if name in header},
        lease=None if lease is None else Lease(lease[0], bytes.fromhex(lease[1]), lease[2], lease[3]),
        queue=tuple(Waiter(owner, bytes.fromhex(asked), until) for owner, asked, until in header.get("queue", ())),
        ring=tuple(
            Remembered(bytes.fromhex(op_id), not_after, status, epoch, revision, _bytes(results))
            for op_id, not_after, status, epoch, revision, results in header.get("ring", ())
        ),
        bags=(_fields(document["state"]), _fields(document["props"]), meta),
        announce=header.get("announce", False),
        previous=tuple(_previous(one) for one in header.get("previous", ())),
    )


def _ended(one: Previous) -> dict[str, Any]:
    state, props = (_plain_fields(bag) for bag in one.bags)
    counts = [one.epoch, one.revision, one.created, one.expired, one.by_lifetime]
    return {"counts": counts, "claim": [one.claim.hex(), one.until, one.attempts], "state": state, "props": props}


def _previous(plain: Any) -> Previous:
    epoch, revision, created, expired, by_lifetime = plain["counts"]
    claim, until, attempts = plain["claim"]
    bags = _fields(plain["state"]), _fields(plain["props"])
    return Previous(epoch, revision, created, expired, by_lifetime, bytes.fromhex(claim), until, attempts, bags)


def _plain_fields(fields: Fields) -> dict[str, Any]:
    return {name: _plain_field(raw) for name, raw in fields.items()}


def _plain_field(raw: bytes) -> Any:
    try:
        plain = _plain(decode_field(raw))
        if encode_field(_value(plain)) == raw:
            return plain
    except (GridSessionError, ValueError, TypeError, ArithmeticError):
        pass
    return {"$raw": _base64(raw)}


def _fields(plain: Mapping[str, Any]) -> Fields:
    return {
        name: _bytes(value["$raw"])
        if isinstance(value, dict) and value.keys() == {"$raw"}
        else encode_field(_value(value))
        for name, value in plain.items()
    }


def _plain(value: Any) -> Any:
    """A value in JSON's types."""
    kind = type(value)
    if value is None or kind in (bool, str):
        return value
    if kind is int:
        return value if -_EXACT <= value <= _EXACT else {"$int": str(value)}
    if kind is float:
        # JSON has one kind of number: what looks whole comes back as an int from some stores.
        return value if math.isfinite(value) and not value.is_integer() else {"$float": repr(value)}
    if kind is list:
        return [_plain(item) for item in value]
    if kind is dict:
        if all(type(name) is str and not name.startswith("$") for name in value):
            return {name: _plain(item) for name, item in value.items()}
        return {"$dict": [[_plain(name), _plain(item)] for name, item in value.items()]}
    tag, write, _ = _TAGS[kind]
    return {tag: write(value)}


def _value(plain: Any) -> Any:
    """The value that `_plain` gave."""
    if isinstance(plain, list):
        return [_value(item) for item in plain]
    if not isinstance(plain, dict):
        return plain
    if len(plain) == 1:
        (tag, content) = next(iter(plain.items()))
        if tag in _READERS:
            return _READERS[tag](content)
    return {name: _value(item) for name, item in plain.items()}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _several(values: Any) -> list[Any]:
    return [_plain(value) for value in values]


_TAGS: Final[dict[type, tuple[str, Callable[[Any], Any], Callable[[Any], Any]]]] = {
    bytes: ("$bytes", _base64, _bytes),
    tuple: ("$tuple", _several, lambda plain: tuple(map(_value, plain))),
    set: ("$set", _several, lambda plain: set(map(_value, plain))),
    frozenset: ("$frozenset", _several, lambda plain: frozenset(map(_value, plain))),
    decimal.Decimal: ("$decimal", str, decimal.Decimal),
    uuid.UUID: ("$uuid", str, uuid.UUID),
    dt.datetime: ("$datetime", dt.datetime.isoformat, dt.datetime.fromisoformat),
    dt.date: ("$date", dt.date.isoformat, dt.date.fromisoformat),
    dt.time: ("$time", dt.time.isoformat, dt.time.fromisoformat),
    dt.timedelta: (
        "$timedelta",
        lambda span: [span.days, span.seconds, span.microseconds],
        lambda plain: dt.timedelta(*plain),
    ),
}
_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "$int": int,
    "$float": float,
    "$dict": lambda plain: {_value(name): _value(item) for name, item in plain},
    **{tag: read for tag, _, read in _TAGS.values()},
}
