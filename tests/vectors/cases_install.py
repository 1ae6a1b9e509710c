"""Install: restore and copy, with revisions kept and nothing deleted brought back unasked."""

from dataclasses import replace
from typing import Any

from table import EPOCH, ID, NOW, SOON, Table, gone, lease, live, op, remembering, ring, v, waiter

from gridsession._commands import Install, Mode
from gridsession._record import RECENT, Lease, Record, Remembered, join_elements
from gridsession._reply import Status

TABLE = Table()
IF_ABSENT, IF_NEWER = Mode
GIVEN = live({"n": 5}, {"p": "q"}, {"seen": join_elements(RECENT, [b"\xa1m"])}, revision=12, max_lifetime=900_000)


def installs(name: str, stored: Record | None, given: Record, mode: Mode = IF_ABSENT, **changes: Any) -> None:
    command = Install(op(1), SOON, given.encode(), mode)
    own = (
        {"lease": None, "queue": (), "ring": ()}
        if stored is None
        else {"lease": stored.lease, "queue": stored.queue, "ring": stored.ring}
    )
    TABLE.add(name, stored, command, after=remembering(replace(given, **(own | changes)), command))


def refuses(
    name: str,
    stored: Record | None,
    given: Record | bytes,
    mode: Mode = IF_ABSENT,
    status: Status = Status.CONFLICT,
    **more: Any,
) -> None:
    data = given if isinstance(given, bytes) else given.encode()
    TABLE.add(name, stored, Install(op(1), SOON, data, mode), status=status, **more)


installs("an install into nothing keeps epoch, revision, times and fields", None, GIVEN)
installs("an install if newer into nothing", None, GIVEN, IF_NEWER)
installs("an install of a session that never expires", None, replace(GIVEN, ttl=None, max_lifetime=None))
installs("an install of a session in its last millisecond", None, replace(GIVEN, max_lifetime=40_001))
installs(
    "an install of a session created ahead of this clock", None, replace(GIVEN, created=NOW + 99, touched=NOW + 99)
)
installs(
    "an install of the greatest numbers",
    None,
    replace(GIVEN, epoch=2**62 - 1, revision=2**62 - 1, last_token=2**62 - 1),
)
given = replace(GIVEN, lease=lease("x", 77), queue=(waiter("y"),), ring=(ring(70),), last_token=77)
installs(
    "an install leaves the other place's lease, queue and ring behind and takes its token", None, given, last_token=77
)
refuses("an install of a session that has expired", None, replace(GIVEN, max_lifetime=40_000))
refuses(
    "an install of a session that has expired, if newer", None, replace(GIVEN, max_lifetime=None, ttl=10_000), IF_NEWER
)

# over a session
R = live({"old": 1}, ring=(ring(9),), last_token=50, lease=lease("a", 50), queue=(waiter("b"),))
refuses("an install if absent over a session", R, GIVEN)
installs("an install if newer over an older revision", R, replace(GIVEN, revision=8), IF_NEWER, last_token=50)
installs(
    "an install if newer over an older epoch", R, replace(GIVEN, epoch=EPOCH + 1, revision=1), IF_NEWER, last_token=50
)
installs("an install if newer takes the greater token", R, replace(GIVEN, last_token=60), IF_NEWER)
installs("an install if newer keeps the greater token", R, replace(GIVEN, last_token=40), IF_NEWER, last_token=50)
refuses("an install if newer of the same revision", R, replace(GIVEN, revision=7), IF_NEWER)
refuses("an install if newer of an older revision", R, replace(GIVEN, revision=6), IF_NEWER)
refuses(
    "an install if newer of an older epoch with a greater revision",
    R,
    replace(GIVEN, epoch=EPOCH - 1, revision=900),
    IF_NEWER,
)

# over a tombstone
T = replace(gone(), ring=(ring(9),))
installs(
    "an install if absent over a tombstone of the same epoch takes the next one",
    T,
    GIVEN,
    epoch=EPOCH + 1,
    last_token=41,
)
installs(
    "an install if absent over a tombstone of a later epoch takes the one after it",
    T,
    replace(GIVEN, epoch=5),
    epoch=EPOCH + 1,
    last_token=41,
)
installs(
    "an install if absent over a tombstone of an earlier epoch keeps its own",
    T,
    replace(GIVEN, epoch=EPOCH + 9),
    last_token=41,
)
refuses("an install if newer of what was deleted does not bring it back", T, GIVEN, IF_NEWER)
refuses(
    "an install if newer of an earlier life does not bring it back",
    T,
    replace(GIVEN, epoch=EPOCH - 1, revision=900),
    IF_NEWER,
)
installs("an install if newer of a later life", T, replace(GIVEN, epoch=EPOCH + 1), IF_NEWER, last_token=41)
leased_only = Record(ID, last_token=41, lease=lease())
installs("an install into a record that is only leased", leased_only, GIVEN, last_token=41)

# what is no session of this id
MALFORMED = Status.MALFORMED
good = GIVEN.encode()
refuses("an install of no bytes", None, b"", status=MALFORMED)
refuses("an install of a tombstone", None, gone(), status=MALFORMED)
refuses("an install of another id's session", None, replace(GIVEN, id="line:U2"), status=MALFORMED)
refuses("an install of a truncated record", None, good[:-1], status=MALFORMED)
refuses("an install of a record with a byte too many", None, good + b"\0", status=MALFORMED)
refuses("an install of a record of another format", None, b"GSR\x02" + good[4:], status=MALFORMED)
refuses("an install of rubbish leaves the session", R, b"GSR", status=MALFORMED)
for name, raw in {
    "an empty field": b"",
    "a field of an unknown kind": b"\x06abc",
    "a value without bytes": b"\x00",
    "a short int": b"\x01\x05",
    "a long int": b"\x01" + bytes(9),
    "a short float": b"\x02" + bytes(7),
    "a long float": b"\x02" + bytes(9),
    "a list without a count": b"\x03",
    "a list that claims more": b"\x03\x00\x00\x00\x02\x00\x00\x00\x01x",
    "a list with bytes left over": b"\x03\x00\x00\x00\x00x",
    "a list that claims four thousand million": b"\x03\xff\xff\xff\xff",
}.items():
    refuses(f"an install with {name}", None, replace(GIVEN, bags=({"f": raw}, {}, {})), status=MALFORMED)
refuses("an install with an empty name", None, replace(GIVEN, bags=({"": v(1)}, {}, {})), status=MALFORMED)
refuses(
    "an install with a short gate", None, replace(GIVEN, bags=({}, {}, {"g": b"\x05" + bytes(7)})), status=MALFORMED
)
refuses(
    "an install with a broken recent set",
    None,
    replace(GIVEN, bags=({}, {}, {"g": b"\x04\x00\x00\x00\x01"})),
    status=MALFORMED,
)
for name, changes in {
    "an epoch from 2^62 on, for it must still rise": {"epoch": 2**62},
    "a revision from 2^62 on": {"revision": 2**62},
    "a token from 2^62 on": {"last_token": 2**62},
    "an epoch from 2^63 on": {"epoch": 2**63},
    "a revision from 2^63 on": {"revision": 2**63},
    "a token from 2^63 on": {"last_token": 2**63},
    "a creation before 1970": {"created": -1},
    "a creation beyond 2^53": {"created": 2**53 + 1},
    "a touch before 1970": {"touched": -1},
    "a touch beyond 2^53": {"touched": 2**53 + 1},
    "a ttl of nothing": {"ttl": 0},
    "a negative ttl": {"ttl": -1},
    "a ttl beyond 100 years": {"ttl": 3_155_760_000_001},
    "a max_lifetime of nothing": {"max_lifetime": 0},
    "a max_lifetime beyond 100 years": {"max_lifetime": 3_155_760_000_001},
    "a lease beyond 2^53": {"lease": Lease("w", bytes(16), 1, 2**53 + 1)},
    "a lease with a token from 2^63 on": {"lease": Lease("w", bytes(16), 2**63, NOW)},
    "a remembered status that does not exist": {"ring": (Remembered(op(7), SOON, 12, 1, 1, b""),)},
    "a remembered deadline beyond 2^53": {"ring": (Remembered(op(7), 2**53 + 1, 0, 1, 1, b""),)},
}.items():
    refuses(f"an install with {name}", None, replace(GIVEN, **changes), status=MALFORMED)
installs("an install with the last time there is", None, replace(GIVEN, created=2**53, touched=2**53))
installs(
    "an install with the longest ttl and max_lifetime",
    None,
    replace(GIVEN, ttl=3_155_760_000_000, max_lifetime=3_155_760_000_000),
)
installs("an install created in 1970", None, replace(GIVEN, created=0, max_lifetime=None))

# deadlines, limits
TABLE.add("an install at its deadline is too late", None, Install(op(1), NOW, good), status=Status.TOO_LATE)
TABLE.add("an install beyond the horizon", None, Install(op(1), NOW + 300_001, good), status=Status.MALFORMED)
refuses("an install over the number of fields", None, GIVEN, status=Status.TOO_LARGE, limits={"fields": 2})
refuses(
    "an install over the length of a name",
    None,
    replace(GIVEN, bags=({"ab": v(1)}, {}, {})),
    status=Status.TOO_LARGE,
    limits={"name_bytes": 1},
)
refuses(
    "an install over the size of a record", None, GIVEN, status=Status.TOO_LARGE, limits={"record_bytes": len(good) - 1}
)
command = Install(op(1), SOON, good)
TABLE.add(
    "an install of the size of a record",
    None,
    command,
    after=remembering(GIVEN, command),
    limits={"record_bytes": len(good), "fields": 3, "name_bytes": 4},
)
