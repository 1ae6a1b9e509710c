"""Commands that are not well formed: refused before anything of them is applied, whatever is stored."""

import struct
from dataclasses import replace
from typing import Any

from table import NOW, SOON, Table, lease, live, op, req, ring, v

from gridsession._commands import (
    Absent,
    AckExpired,
    Acquire,
    Allow,
    Append,
    AtRevision,
    ClaimExpired,
    Commit,
    CompareAndSet,
    Delete,
    Field,
    Increment,
    Install,
    Load,
    NotRemembered,
    Pop,
    Present,
    Release,
    Remember,
    Remove,
    Renew,
    Set,
    SetDefault,
    Take,
    Touch,
    Unchanged,
    Want,
)
from gridsession._record import META, PROPS, STATE
from gridsession._reply import Status

TABLE = Table()
UNSUPPORTED = Status.UNSUPPORTED
EVERYTHING = Commit(
    op(1),
    SOON,
    (
        Set(STATE, "a", v("x")),
        Remove(STATE, "b"),
        Increment(STATE, "c", 1),
        Increment(STATE, "d", 0.5),
        Append(PROPS, "e", (b"\1", b"\2"), 5),
        Pop(STATE, "f"),
        Take(STATE, "g"),
        SetDefault(STATE, "h", v([1])),
        CompareAndSet(STATE, "i", v(1), v(2)),
        Remember("j", b"1", 5),
        Allow("k", 9),
    ),
    (
        Absent(),
        Present(),
        AtRevision(1, 2),
        NotRemembered("l", b"m"),
        Unchanged(STATE, "n", bytes(16)),
        Unchanged(PROPS, "o", b""),
    ),
    token=1,
    clear=3,
    retain=((STATE, "p"),),
    created_ttl=1,
    want=Want.RECORD,
    release=True,
    retry=True,
)
LOAD = Load(
    Want.RECORD,
    (Field(STATE, "a"), Field(META, "b", 5)),
    Touch(1, 2),
    Acquire("w", req("a"), 3, 4),
    NotRemembered("c", b"d"),
    True,
    SOON,
)
DELETE = Delete(op(1), SOON, (Present(),), 1, True, True)
INSTALL = Install(op(1), SOON, live().encode(), retry=True)
RENEW = Renew(1, 2, SOON)
RELEASE = Release(SOON, 0, req("a"))
CLAIM = ClaimExpired(op(1), 30_000, SOON, renew=True)
ACK = AckExpired(op(1), SOON, retry=True)
WHOLE = {"load": LOAD, "commit": EVERYTHING, "renew": RENEW, "release": RELEASE, "delete": DELETE, "install": INSTALL}
WHOLE |= {"claim of an expired": CLAIM, "acknowledgement": ACK}

for kind, command in WHOLE.items():
    data = command.encode()
    TABLE.refused(f"a {kind} with a byte too many", data + b"\0")
    for length in range(len(data)):
        TABLE.refused(f"a {kind} cut off after {length} of {len(data)} bytes", data[:length])

# head
for layout in (0, 2, 255):
    TABLE.refused(f"layout {layout} is not known", bytes((layout,)) + LOAD.encode()[1:], UNSUPPORTED)
for code in (0, 9, 10, 255):
    TABLE.refused(f"command {code} is not known", b"\x01" + bytes((code,)) + LOAD.encode()[2:], UNSUPPORTED)
TABLE.refused("an unknown command of two bytes is not known", b"\x01\x63", UNSUPPORTED)
TABLE.refused("another layout of two bytes is not known", b"\x02\x01", UNSUPPORTED)
for kind, command, allowed in (
    ("load", LOAD, 31),
    ("commit", EVERYTHING, 7),
    ("renew", RENEW, 0),
    ("release", RELEASE, 0),
    ("delete", DELETE, 3),
    ("install", INSTALL, 2),
    ("claim of an expired", CLAIM, 1),
    ("acknowledgement", ACK, 2),
):
    data = command.encode()
    for bit in range(16):
        if not allowed >> bit & 1:
            TABLE.refused(
                f"a {kind} with flag {1 << bit}",
                data[:2] + struct.pack(">H", struct.unpack_from(">H", data, 2)[0] | 1 << bit) + data[4:],
            )
for kind, command in WHOLE.items():
    TABLE.refused(f"a {kind} with a negative deadline", replace(command, not_after=-1).encode())
    if kind != "load":
        TABLE.refused(f"a {kind} without a deadline", replace(command, not_after=0).encode())
TABLE.refused("an acquire without a deadline", replace(LOAD, not_after=0).encode())


def load(name: str, **changes: Any) -> None:
    TABLE.refused(name, replace(LOAD, **changes).encode())


def commit(name: str, *operations: Any, status: Status = Status.MALFORMED, **changes: Any) -> None:
    TABLE.refused(name, Commit(op(1), SOON, operations, **changes).encode(), status)


# load
for number in (5, 255):
    load(f"a load wanting {number}", want=number)
for number in (4, 5, 255):
    commit(f"a commit wanting {number}", want=number)
for tail in (-2, -(2**31)):
    load(f"a tail of {tail}", names=(Field(STATE, "a", tail),))
load("names of bag 3", names=(Field(3, "a"),))
load("an empty name asked for", names=(Field(STATE, ""),))
load("an empty name of a recent set", seen=NotRemembered("", b"x"))
load("a touch below nothing", touch=Touch(-1, 5))
for ttl in (-2, -(2**63), 3_155_760_000_001, 2**63 - 1):
    load(f"a touch with a ttl of {ttl}", touch=Touch(1, ttl))
for duration in (0, -1, 86_400_001, 2**63 - 1, -(2**63)):
    load(f"a lease of {duration} ms", acquire=Acquire("w", req("a"), duration, 0))
    TABLE.refused(f"a renewal of {duration} ms", Renew(1, duration, SOON).encode())
for patience in (-1, 86_400_001, 2**63 - 1):
    load(f"a patience of {patience} ms", acquire=Acquire("w", req("a"), 1, patience))

# commit head
for code in (0, 6, 255):
    data = Commit(op(1), SOON, guards=(Present(),)).encode()
    position = 12 + 16 + 8 + 2
    assert data[position] == 2
    TABLE.refused(f"guard {code} is not known", data[:position] + bytes((code,)) + data[position + 1 :], UNSUPPORTED)
    data = DELETE.encode()
    TABLE.refused(
        f"guard {code} of a delete is not known", data[:position] + bytes((code,)) + data[position + 1 :], UNSUPPORTED
    )
for length in (1, 8, 15, 17, 32, 255):
    commit(f"a digest of {length} bytes", guards=(Unchanged(STATE, "a", bytes(length)),))
commit("a guard on bag 3", guards=(Unchanged(3, "a", b""),))
commit("a guard on an empty name", guards=(Unchanged(STATE, "", b""),))
commit("a guard on a recent set without a name", guards=(NotRemembered("", b"x"),))
commit("ttl mode 3", ttl_mode=3)
commit("ttl mode 255", ttl_mode=255)
for what in ("ttl", "created_ttl", "created_max_lifetime"):
    for number in (-1, -(2**63), 3_155_760_000_001, 2**63 - 1):
        commit(f"a {what} of {number}", **{what: number})
for clear in (4, 7, 8, 128, 255):
    commit(f"a clear of bags {clear}", clear=clear)
commit("a name retained in bag 3", clear=1, retain=((3, "a"),))
commit("an empty name retained", clear=1, retain=((STATE, ""),))
commit("a commit that gives back a lease it does not name", release=True)
TABLE.refused("a delete that gives back a lease it does not name", Delete(op(1), SOON, release=True).encode())


# operations
def patched(operation: Any, offset: int, old: int, new: int) -> bytes:
    """A commit of one operation with one byte of the operation changed."""
    data = bytearray(Commit(op(1), SOON, (operation,)).encode())
    position = len(Commit(op(1), SOON).encode()) + offset
    assert data[position] == old
    data[position] = new
    return bytes(data)


for code in (0, 11, 99, 255):
    TABLE.refused(f"operation {code} is not known", patched(Remove(STATE, "a"), 0, 2, code), UNSUPPORTED)
for operation in (
    Set(3, "a", v(1)),
    Remove(3, "a"),
    Increment(3, "a", 1),
    Append(255, "a", ()),
    Pop(3, "a"),
    Take(3, "a"),
    SetDefault(3, "a", v(1)),
    CompareAndSet(3, "a", None, None),
):
    commit(f"{type(operation).__name__} on bag {operation.bag}", operation)
for bag in (STATE, PROPS):
    TABLE.refused(f"remember in bag {bag}", patched(Remember("a", b"1", 1), 1, META, bag))
    TABLE.refused(f"allow in bag {bag}", patched(Allow("a", 1), 1, META, bag))
commit("an operation on an empty name", Set(STATE, "", v(1)))
for first in (0xD8, 0xDA, 0xA1, 0x00, 0xC4):
    TABLE.refused(f"a name that begins with {first:#04x}", patched(Remove(STATE, "a"), 2, 0xD9, first))
for first in (0xC4, 0xC5, 0xC7, 0x00):
    TABLE.refused(f"a raw that begins with {first:#04x}", patched(Set(STATE, "a", v(1)), 5, 0xC6, first))
RAWS = {
    "no bytes": b"",
    "a value without a payload": b"\x00",
    "an int of 7 bytes": b"\x01" + bytes(7),
    "an int of 9 bytes": b"\x01" + bytes(9),
    "a float of 4 bytes": b"\x02" + bytes(4),
    "a float of 9 bytes": b"\x02" + bytes(9),
    "a list without a count": b"\x03",
    "a list with half a count": b"\x03\x00\x00",
    "a list that claims one more than it has": b"\x03\x00\x00\x00\x02\x00\x00\x00\x01x",
    "a list with an element cut off": b"\x03\x00\x00\x00\x01\x00\x00\x00\x02x",
    "a list with a length cut off": b"\x03\x00\x00\x00\x01\x00\x00",
    "a list with bytes left over": b"\x03\x00\x00\x00\x01\x00\x00\x00\x01xy",
    "a list that claims 2^32 - 1": b"\x03\xff\xff\xff\xff",
    "a list with an element of 2^32 - 1": b"\x03\x00\x00\x00\x01\xff\xff\xff\xff",
    "a list with an empty element": b"\x03\x00\x00\x00\x01\x00\x00\x00\x00",
    "a recent set": b"\x04\x00\x00\x00\x00",
    "a gate": b"\x05" + bytes(8),
    "kind 6": b"\x06abc",
    "kind 255": b"\xff" + bytes(8),
}
for name, raw in RAWS.items():
    commit(f"set of {name}", Set(STATE, "a", raw))
    commit(f"set_default of {name}", SetDefault(STATE, "a", raw))
    commit(f"compare_and_set to {name}", CompareAndSet(STATE, "a", None, raw))
commit("compare_and_set from no bytes", CompareAndSet(STATE, "a", b"", v(1)))
TABLE.refused("compare_and_set with 2 for true", patched(CompareAndSet(STATE, "a", None, None), 5, 0, 2))
TABLE.refused("compare_and_set with 255 for true", patched(CompareAndSet(STATE, "a", None, None), 6, 0, 255))
TABLE.refused("pop with 2 for true", patched(Pop(STATE, "a"), 5, 0, 2))
for kind in (0, 3, 4, 5, 255):
    TABLE.refused(f"an increment of kind {kind}", patched(Increment(STATE, "a", 1), 5, 1, kind))
for keep in (-2, -(2**31)):
    commit(f"append that keeps {keep}", Append(STATE, "a", (b"x",), keep))
commit("append of an empty element", Append(STATE, "a", (b"x", b"")))
for keep in (0, -1, -(2**31)):
    commit(f"remember that keeps {keep}", Remember("a", b"x", keep))
commit("remember of an empty value", Remember("a", b"", 1))
commit("a guard on an empty value", guards=(NotRemembered("a", b""),))
load("an empty value asked about", seen=NotRemembered("a", b""))
for every in (0, -1, 3_155_760_000_001, -(2**63)):
    commit(f"allow every {every} ms", Allow("a", every))
for what, claim in (("operations", -2), ("retained names", -4)):
    data = bytearray(Commit(op(1), SOON).encode())
    position = len(data) + claim
    data[position : position + 2] = b"\xff\xff"
    TABLE.refused(f"65,535 {what} claimed and none there", bytes(data))
data = bytearray(Commit(op(1), SOON).encode())
data[36:38] = b"\xff\xff"
TABLE.refused("65,535 guards claimed and none there: what follows is read as one", bytes(data), UNSUPPORTED)

# install
TABLE.refused("an install of mode 2", INSTALL.encode()[:28] + b"\x02" + INSTALL.encode()[29:])
TABLE.refused("an install that claims 2^32 - 1 bytes", Install(op(1), SOON, b"").encode()[:-4] + b"\xff\xff\xff\xff")

# UTF-8
BAD = {
    "a lone continuation byte": b"\x80",
    "a byte that never occurs": b"\xff",
    "an overlong slash": b"\xc0\xaf",
    "an overlong NUL": b"\xc0\x80",
    "an overlong letter of three bytes": b"\xe0\x80\x41",
    "a surrogate": b"\xed\xa0\x80",
    "a pair of surrogates": b"\xed\xa0\xbd\xed\xb8\x80",
    "a code point beyond U+10FFFF": b"\xf4\x90\x80\x80",
    "a sequence cut off": b"\xe0\xb8",
    "a sequence cut off before a letter": b"\xe0\xb8a",
    "a sequence of five bytes": b"\xf8\x88\x80\x80\x80",
}
for name, bad in BAD.items():
    placeholder = "x" * len(bad)
    for where, command in (
        ("a name", Commit(op(1), SOON, (Remove(STATE, placeholder),))),
        ("an owner", replace(LOAD, acquire=Acquire(placeholder, bytes(16), 1, 0), names=None, touch=None, seen=None)),
    ):
        data = command.encode()
        head, middle, rest = data.partition(bytes((len(bad),)) + placeholder.encode())
        assert middle
        TABLE.refused(f"{name} in {where}", head + bytes((len(bad),)) + bad + rest)

# which fault counts, and whom it spares
H = live({"a": 1}, last_token=41, lease=lease(), ring=(ring(1),))
TABLE.refused("a malformed command leaves a session as it is", EVERYTHING.encode()[:-1], stored=H)
TABLE.refused("an unknown command leaves a session as it is", b"\x01\x63", UNSUPPORTED, stored=H)
TABLE.refused(
    "a malformed resend of a known id is malformed all the same",
    Commit(op(1), SOON, (Set(STATE, "a", b"\x00"),)).encode(),
    stored=H,
)
TABLE.refused("malformed is said before too late", Commit(op(1), NOW - 1, (Set(STATE, "a", b"\x00"),)).encode())
TABLE.add(
    "malformed is said before the record is read", b"rubbish", Commit(op(1), SOON, clear=9), status=Status.MALFORMED
)
TABLE.add("unsupported is said before the record is read", b"rubbish", b"\x01\x63", status=UNSUPPORTED)
TABLE.add(
    "malformed is said before an id too long",
    None,
    Commit(op(1), SOON, clear=9),
    status=Status.MALFORMED,
    limits={"id_bytes": 1},
)
TABLE.refused("no bytes at all", b"")
for name, duration in (("of no time", 0), ("of a negative time", -1), ("of more than a day", 86_400_001)):
    TABLE.refused(f"a claim {name}", replace(CLAIM, duration=duration).encode())

# numbers at the very edge are fine
edge = Commit(
    op(1),
    SOON,
    (Remove(STATE, "no"),),
    ttl=3_155_760_000_000,
    created_ttl=3_155_760_000_000,
    created_max_lifetime=3_155_760_000_000,
)
TABLE.add("the longest times are well formed", None, edge, results=(False,))
many = Commit(op(1), SOON, (Remove(STATE, "no"),), tuple(Absent() for _ in range(300)))
TABLE.add("three hundred guards are well formed", None, many, results=(False,))
TABLE.add(
    "a token of 2^64 - 1 is well formed and held by nobody", None, Renew(2**64 - 1, 1, SOON), status=Status.LEASE_LOST
)
