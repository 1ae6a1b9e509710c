"""Stored records that cannot be read: said so, never taken for an empty session, and left as they are."""

from dataclasses import replace
from typing import Any

from table import CREATED, EPOCH, ID, NOW, SOON, TOUCHED, Table, both, lease, life, live, op, ring, v, waiter, written

from gridsession._commands import (
    Acquire,
    Append,
    Commit,
    Delete,
    Field,
    Increment,
    Install,
    Load,
    NotRemembered,
    Pop,
    Release,
    Remember,
    Remove,
    Renew,
    Set,
    Want,
)
from gridsession._record import META, STATE, Record, Remembered, encode_fields
from gridsession._reply import Status

TABLE = Table()
R = live(
    {"n": 5},
    {"p": 1},
    {"m": 2},
    max_lifetime=900_000,
    last_token=41,
    lease=lease(),
    queue=(waiter("b"),),
    ring=(ring(9, results=(True,)),),
)
GOOD = R.encode()


def corrupt(name: str, stored: bytes, command: Any = Load(), **more: Any) -> None:  # noqa: B008  # frozen
    TABLE.add(name, stored, command, status=Status.CORRUPT, **more)


TABLE.add("the record that is spoilt below can be read", R, Load(), life=life(R, NOW + 50_000), bags=both(R))
for length in range(len(GOOD)):
    corrupt(f"a record cut off after {length} of {len(GOOD)} bytes", GOOD[:length])
corrupt("a record with a byte too many", GOOD + b"\0")
for kind, command in {
    "load": Load(),
    "commit": Commit(op(1), SOON, (Set(STATE, "a", v(1)),)),
    "resend": Commit(op(9), SOON),
    "renew": Renew(41, 1, SOON),
    "release": Release(SOON, 41),
    "delete": Delete(op(1), SOON),
    "install": Install(op(1), SOON, live().encode()),
    "late commit": Commit(op(1), NOW),
}.items():
    corrupt(f"a {kind} leaves a corrupt record as it is", GOOD[:-1], command)
corrupt("an id too long does not hide a corrupt record", GOOD[:-1], limits={"id_bytes": 1})

# head
corrupt("no bytes at all are no record", b"")
corrupt("another magic", b"GSX\x01" + GOOD[4:])
corrupt("format 0", b"GSR\x00" + GOOD[4:])
corrupt("format 2", b"GSR\x02" + GOOD[4:])
for bit in range(11, 16):
    corrupt(
        f"unknown flag {1 << bit}",
        GOOD[:4] + (int.from_bytes(GOOD[4:6], "big") | 1 << bit).to_bytes(2, "big") + GOOD[6:],
    )
corrupt("the record of another id", replace(R, id="line:U2").encode())
corrupt("the record of an id that begins alike", replace(R, id="line:U11").encode())
corrupt("the record of an id in another case", replace(R, id="line:u1").encode())
corrupt("the record of the composed form of an id", replace(R, id="line:é").encode(), session_id="line:e\u0301")
corrupt("an id that is not UTF-8", GOOD.replace(b"line:U1", b"line:U\xff"))
for name, changes in {
    "times": {"live": False, "ttl": 5, "max_lifetime": None, "bags": ({}, {}, {})},
    "a max_lifetime": {"live": False, "ttl": None, "max_lifetime": 5, "bags": ({}, {}, {})},
    "a state": {"live": False, "ttl": None, "max_lifetime": None, "bags": (R.bags[0], {}, {})},
    "props": {"live": False, "ttl": None, "max_lifetime": None, "bags": ({}, R.bags[1], {})},
    "meta": {"live": False, "ttl": None, "max_lifetime": None, "bags": ({}, {}, R.bags[2])},
}.items():
    corrupt(f"a record that is not live and has {name}", replace(R, **changes).encode())

# numbers
for name, changes in {
    "an epoch from 2^63 on": {"epoch": 2**63},
    "a revision from 2^63 on": {"revision": 2**64 - 1},
    "a last token from 2^63 on": {"last_token": 2**63},
    "a creation before 1970": {"created": -1},
    "a creation beyond 2^53": {"created": 2**53 + 1},
    "a touch before 1970": {"touched": -(2**63)},
    "a touch beyond 2^53": {"touched": 2**63 - 1},
    "a ttl of nothing": {"ttl": 0},
    "a negative ttl": {"ttl": -5},
    "a ttl beyond 100 years": {"ttl": 3_155_760_000_001},
    "a max_lifetime of nothing": {"max_lifetime": 0},
    "a max_lifetime beyond 100 years": {"max_lifetime": 2**63 - 1},
    "a lease until before 1970": {"lease": lease(until=-1)},
    "a lease until beyond 2^53": {"lease": lease(until=2**53 + 1)},
    "a lease with a token from 2^63 on": {"lease": lease(token=2**63)},
    "a waiter until before 1970": {"queue": (waiter("b", -1),)},
    "a waiter until beyond 2^53": {"queue": (waiter("b", 2**53 + 1),)},
    "a remembered deadline before 1970": {"ring": (ring(9, -1),)},
    "a remembered deadline beyond 2^53": {"ring": (ring(9, 2**53 + 1),)},
    "a remembered status that does not exist": {"ring": (Remembered(op(9), SOON, 12, EPOCH, 1, b""),)},
    "a remembered epoch from 2^63 on": {"ring": (ring(9, epoch=2**63),)},
    "a remembered revision from 2^63 on": {"ring": (ring(9, revision=2**63),)},
}.items():
    corrupt(name, replace(R, **changes).encode())
big = Record(ID, 2**63 - 1, True, 2**63 - 1, 2**53, 2**53, 3_155_760_000_000, 3_155_760_000_000, 2**63 - 1)
TABLE.add("the greatest numbers can be read", big, Load(Want.REVISION), life=life(big, 2**53 + 3_155_760_000_000))
last = 2**63 - 1
corrupt("no commit after the last revision", replace(R, revision=last).encode(), Commit(op(1), SOON, token=41))
corrupt("no session after the last epoch", Record(ID, last).encode(), Commit(op(1), SOON))
corrupt(
    "no lease after the last token",
    Record(ID, EPOCH, last_token=last).encode(),
    Load(acquire=Acquire("worker", op(1), 1_000, 0), not_after=SOON),
)
TABLE.add(
    "what stands at its end can be deleted",
    Record(ID, last, True, last, CREATED, TOUCHED),
    Delete(op(1), SOON),
    after=Record(ID, last, ring=(Remembered(op(1), SOON, Status.OK, last, last, b""),)),
    revision=last,
)

# optional parts that say nothing
plain = Record(ID, EPOCH, True, 7, CREATED, TOUCHED)
head, tail = plain.encode()[:4], plain.encode()[6:]
flags = int.from_bytes(plain.encode()[4:6], "big")
at_ring = len(tail) - 2


def with_part(flag: int, part: bytes, end: bytes = b"") -> bytes:
    return head + (flags | flag).to_bytes(2, "big") + tail[:at_ring] + part + tail[at_ring:] + end


corrupt("a token of nothing", with_part(8, bytes(8)))
corrupt("a queue of nobody", with_part(32, b"\0\0"))
for flag, name in ((64, "state"), (128, "props"), (256, "meta")):
    corrupt(f"an empty {name}", with_part(flag, b"", b"\x00\x00\x00\x03\xde\x00\x00"))
    corrupt(f"a {name} of no bytes", with_part(flag, b"", b"\x00\x00\x00\x00"))
    corrupt(f"a {name} that claims more bytes than there are", with_part(flag, b"", b"\xff\xff\xff\xff\xde\x00\x00"))


def with_state(section: bytes) -> bytes:
    return with_part(64, b"", len(section).to_bytes(4, "big") + section)


one = encode_fields({"a": v(1)})
TABLE.add(
    "a section written by hand can be read",
    with_state(one),
    Load(),
    epoch=EPOCH,
    revision=7,
    present=True,
    life=life(plain, None),
    bags=({"a": v(1)}, {}, None),
)
for name, section in {
    "a fixmap header": b"\x81" + one[3:],
    "a map 32 header": b"\xdf\x00\x00\x00\x01" + one[3:],
    "an array": b"\xdc" + one[1:],
    "a fixstr name": one[:3] + b"\xa1a" + one[6:],
    "a str 16 name": one[:3] + b"\xda\x00\x01a" + one[6:],
    "a bin 8 field": one[:6] + b"\xc4\x09" + v(1),
    "a bin 16 field": one[:6] + b"\xc5\x00\x09" + v(1),
    "a text for a field": one[:6] + b"\xdb\x00\x00\x00\x09" + b"x" * 9,
    "a number for a field": one[:6] + b"\x05",
    "a number for a name": one[:3] + b"\x05" + one[6:],
    "an empty name": one[:4] + b"\x00" + one[6:],
    "the same name twice": b"\xde\x00\x02" + one[3:] * 2,
    "a count one too small": b"\xde\x00\x00" + one[3:],
    "a count one too great": b"\xde\x00\x02" + one[3:],
    "a byte left over": one + b"\0",
    "a name that is not UTF-8": one[:5] + b"\xff" + one[6:],
    "a surrogate in a name": one[:4] + b"\x03\xed\xa0\x80" + one[6:],
    "a byte that msgpack never uses": b"\xc1",
}.items():
    corrupt(f"a state with {name}", with_state(section))


# fields are opaque until a command needs them
def broken(raw: bytes, bag: int = STATE) -> Record:
    return live(**{("state", "props", "meta")[bag]: {"f": raw, "n": v(5)}})


def commit(*operations: Any, guards: Any = ()) -> Commit:
    return Commit(op(1), SOON, operations, guards)


LONG = b"\x03\x00\x00\x00\x02\x00\x00\x00\x01x"
for name, raw, command in (
    ("append to a broken list", LONG, commit(Append(STATE, "f", (b"x",)))),
    ("append of nothing to a broken list", LONG, commit(Append(STATE, "f", ()))),
    ("pop of a broken list", LONG, commit(Pop(STATE, "f"))),
    ("tail of a broken list", LONG, Load(names=(Field(STATE, "f", 1),))),
    ("append to a list without a count", b"\x03", commit(Append(STATE, "f", (b"x",)))),
    ("increment of a short int", b"\x01\x05", commit(Increment(STATE, "f", 1))),
    ("increment of a long int", b"\x01" + bytes(9), commit(Increment(STATE, "f", 1))),
    ("increment of a short int by a float", b"\x01\x05", commit(Increment(STATE, "f", 1.5))),
    ("increment of a short float", b"\x02\x00", commit(Increment(STATE, "f", 1))),
    ("increment of a long float", b"\x02" + bytes(9), commit(Increment(STATE, "f", 1.5))),
    ("increment of an empty field", b"", commit(Increment(STATE, "f", 1))),
    ("append to an empty field", b"", commit(Append(STATE, "f", (b"x",)))),
    ("pop of an empty field", b"", commit(Pop(STATE, "f"))),
    ("tail of an empty field", b"", Load(names=(Field(STATE, "f", 1),))),
    ("a fault after other operations", LONG, commit(Set(STATE, "n", v(6)), Pop(STATE, "f"))),
):
    corrupt(f"{name} is corrupt", broken(raw).encode(), command)
RECENT_BROKEN = b"\x04\x00\x00\x00\x02\x00\x00\x00\x01x"
for name, command in (
    ("remember in a broken set", commit(Remember("f", b"1", 5))),
    ("not remembered in a broken set", commit(guards=(NotRemembered("f", b"1"),))),
    ("seen in a broken set", Load(seen=NotRemembered("f", b"1"))),
    ("tail of a broken set", Load(names=(Field(META, "f", 1),))),
):
    corrupt(f"{name} is corrupt", broken(RECENT_BROKEN, META).encode(), command)
B = broken(LONG)
TABLE.add("a broken list that nobody asks about hurts nobody", B, Load(), life=life(B, NOW + 50_000), bags=both(B))
command = commit(Increment(STATE, "n", 1))
TABLE.add(
    "other fields are written beside it",
    B,
    command,
    after=written(B, command, state={"f": LONG, "n": 6}, results=(v(6),)),
    results=(v(6),),
)
command = commit(Remove(STATE, "f"))
TABLE.add(
    "a broken list can be removed",
    B,
    command,
    after=written(B, command, state={"n": 5}, results=(True,)),
    results=(True,),
)
command = commit(Set(STATE, "f", v([])))
TABLE.add("a broken list can be replaced", B, command, after=written(B, command, state={"f": [], "n": 5}))
unknown = broken(b"\x09new")
TABLE.add("a field of a kind to come is kept", unknown, Load(), life=life(unknown, NOW + 50_000), bags=both(unknown))
command = commit(Increment(STATE, "n", 1))
TABLE.add(
    "and kept by commits",
    unknown,
    command,
    after=written(unknown, command, state={"f": b"\x09new", "n": 6}, results=(v(6),)),
    results=(v(6),),
)
TABLE.add(
    "a field of a kind to come is of a wrong type",
    unknown,
    commit(Increment(STATE, "f", 1)),
    status=Status.WRONG_TYPE,
    index=0,
)
TABLE.add("and for lists too", unknown, commit(Append(STATE, "f", (b"x",))), status=Status.WRONG_TYPE, index=0)

# broken results in the ring
for name, results in {
    "half a count": b"\x00",
    "a tag that does not exist": b"\x00\x01\x04",
    "fewer than it says": b"\x00\x02\x01",
    "bytes cut off": b"\x00\x01\x03\x00\x00\x00\x05abc",
    "bytes left over": b"\x00\x01\x01\x01",
}.items():
    spoilt = live(ring=(Remembered(op(9), SOON, 0, EPOCH, 7, results),))
    corrupt(f"a resend whose remembered results have {name}", spoilt.encode(), Commit(op(9), SOON))
    TABLE.add(f"remembered results with {name} hurt nobody else", spoilt, Load(Want.NOTHING))
