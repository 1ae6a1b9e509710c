"""Sessions that expired and whose end somebody wants to be told: kept, claimed for a time, acknowledged once."""

from dataclasses import replace
from typing import Any

from table import (
    EPOCH,
    ID,
    NOW,
    SOON,
    Table,
    bags,
    born,
    gone,
    lease,
    life,
    live,
    op,
    remembering,
    req,
    ring,
    v,
    written,
)

from gridsession._commands import (
    AckExpired,
    Acquire,
    ClaimExpired,
    Commit,
    Delete,
    Install,
    Load,
    Mode,
    Set,
    Touch,
    TtlMode,
    Want,
)
from gridsession._record import META, STATE, Previous, Record, encode_field
from gridsession._reply import Grant, Life, Result, Status

TABLE = Table()
add = TABLE.add
DAY = 86_400_000
ASKED = live({"n": 5, "l": [1]}, {"p": "q"}, {"m": 1}, announce=True, last_token=41)
"""Expires at END by its ttl; its end is to be told."""
END = NOW + 50_000
LATE = END + 10_000
TTL, LIFETIME = 1, 2


def told(reason: int, left: int = 0) -> tuple[Result, ...]:
    """The one result of a claim."""
    return (bytes((reason, left)),)


def ended(record: Record = ASKED, expired: int = END, **more: Any) -> Previous:
    """What is left of the record when it expired."""
    return Previous(record.epoch, record.revision, record.created, expired, bags=record.bags[:2], **more)


def left(*previous: Previous, **more: Any) -> Record:
    """What stands under the id when its session expired."""
    return Record(ID, EPOCH, last_token=41, previous=previous, **more)


def claim(number: int = 1, now: int = LATE, duration: int = 30_000, renew: bool = False) -> ClaimExpired:
    return ClaimExpired(op(number), duration, now + 10_000, renew)


def ack(number: int = 1, now: int = LATE, retry: bool = False) -> AckExpired:
    return AckExpired(op(number), now + 10_000, retry)


def claimed(one: Previous, number: int = 1, now: int = LATE, attempts: int = 1, duration: int = 30_000) -> Previous:
    return replace(one, claim=op(number), until=now + duration, attempts=attempts)


def gives(name: str, stored: Record, command: ClaimExpired, after: Any, one: Previous, **more: Any) -> None:
    """A claim that is granted: the answer speaks of the session that expired."""
    said: dict[str, Any] = {
        "now": LATE,
        "epoch": one.epoch,
        "revision": one.revision,
        "life": Life(one.created, None, None, one.expired),
        "grant": Grant(one.attempts, one.until),
        "results": told(LIFETIME if one.by_lifetime else TTL),
        "bags": (*one.bags, None),
    }
    add(name, stored, command, after=after, **(said | more))


# asking
command = Commit(op(1), SOON, (Set(STATE, "n", v(6)),), announce=True)
plain = live({"n": 5})
asking = written(plain, command, state={"n": 6}, announce=True)
add("a commit asks that the end be told", plain, command, after=asking)
add("a commit that creates asks too", None, command, after=born(command, state={"n": 6}, announce=True))
unasked = replace(command, announce=False)
add(
    "a commit that does not ask takes nothing back",
    ASKED,
    unasked,
    after=written(ASKED, unasked, state={"n": 6, "l": [1]}),
)
nothing = Commit(op(1), SOON, (Set(META, "m", v(1)),), announce=True)
add("asking outlives a touch", ASKED, Load(touch=Touch(60_000), want=Want.NOTHING), after=replace(ASKED, touched=NOW))
add(
    "a delete leaves nothing to be told",
    ASKED,
    Delete(op(1), SOON),
    after=remembering(gone(), Delete(op(1), SOON), revision=7),
    revision=7,
)
add("who asks is not shown", ASKED, Load(Want.REVISION), life=life(ASKED, END))
whole = replace(ASKED, lease=lease("a"), ring=(ring(9),), previous=(ended(expired=NOW - 5),))
add(
    "the whole record takes along that its end is to be told, but no end that is",
    whole,
    Load(Want.WHOLE),
    life=life(whole, END),
    results=(ASKED.encode(),),
)

# expired: absent to all, and kept
for late in (0, 1, DAY):
    add(
        f"{late} ms after its end it is absent",
        ASKED,
        Load(),
        now=END + late,
        status=Status.ABSENT,
        revision=0,
        present=False,
    )
commit = Commit(op(1), LATE + 10_000, (Set(STATE, "n", v(1)),))
add(
    "a message that comes first keeps what expired",
    ASKED,
    commit,
    now=LATE,
    after=born(commit, LATE, out_of=left(ended()), state={"n": 1}),
)
add(
    "nothing is kept of what nobody asked about",
    replace(ASKED, announce=False),
    commit,
    now=LATE,
    after=born(commit, LATE, out_of=left(), state={"n": 1}),
)
add(
    "nothing is kept after a day",
    ASKED,
    replace(commit, not_after=END + DAY + 10),
    now=END + DAY,
    after=born(replace(commit, not_after=END + DAY + 10), END + DAY, out_of=left(), state={"n": 1}),
)
taken = Load(Want.NOTHING, acquire=Acquire("worker-b", req("b"), 30_000, 0), not_after=LATE + 10_000)
add(
    "a turn that comes first keeps what expired",
    ASKED,
    taken,
    now=LATE,
    after=replace(left(ended()), last_token=LATE, lease=lease("b", LATE, LATE + 30_000)),
    status=Status.ABSENT,
    grant=Grant(LATE, LATE + 30_000),
)
add(
    "a delete of what expired changes nothing",
    ASKED,
    Delete(op(1), LATE + 10_000),
    now=LATE,
    status=Status.ABSENT,
    revision=0,
    present=False,
)
again = live({"n": 9}, epoch=EPOCH + 1, announce=True, previous=(ended(expired=NOW - 5),), last_token=41)
late_commit = replace(commit, op_id=op(2))
second = Previous(EPOCH + 1, 7, again.created, END, bags=bags({"n": 9})[:2])
add(
    "a second end is kept beside the first",
    again,
    late_commit,
    now=LATE,
    after=born(
        late_commit, LATE, out_of=replace(left(ended(expired=NOW - 5), second), epoch=EPOCH + 1), state={"n": 1}
    ),
)
many = tuple(ended(expired=NOW - 20 + number) for number in range(8))
add(
    "the oldest of nine gives way",
    replace(again, previous=many),
    late_commit,
    now=LATE,
    after=born(late_commit, LATE, out_of=replace(left(*many[1:], second), epoch=EPOCH + 1), state={"n": 1}),
)
# claiming
for late in (0, 1, 10_000):
    now = END + late
    gives(
        f"a claim {late} ms after the end is granted",
        ASKED,
        claim(now=now),
        left(claimed(ended(), now=now)),
        claimed(ended(), now=now),
        now=now,
    )
add("a claim 1 ms before the end finds nothing", ASKED, claim(now=END - 1), now=END - 1, status=Status.ABSENT)
add("a claim of nothing", None, claim(), now=LATE, status=Status.ABSENT)
add("a claim of a tombstone", gone(), claim(), now=LATE, status=Status.ABSENT)
silent = replace(ASKED, announce=False)
add("a claim of what nobody asked about", silent, claim(), now=LATE, status=Status.ABSENT, revision=0, present=False)
capped = replace(ASKED, max_lifetime=90_000 - 1)
gives(
    "an end by max_lifetime",
    capped,
    claim(),
    left(claimed(ended(expired=END - 1, by_lifetime=True))),
    claimed(ended(expired=END - 1, by_lifetime=True)),
)
gives(
    "an end by both is one by ttl",
    replace(ASKED, max_lifetime=90_000),
    claim(),
    left(claimed(ended())),
    claimed(ended()),
)
endless = replace(ASKED, ttl=None, max_lifetime=90_000)
gives(
    "an end by max_lifetime alone",
    endless,
    claim(),
    left(claimed(ended(by_lifetime=True))),
    claimed(ended(by_lifetime=True)),
)
empty = live(announce=True, last_token=41)
gives("an end without data", empty, claim(), left(claimed(ended(empty))), claimed(ended(empty)))
HELD = left(claimed(ended()))
add(
    "a claim while another's lasts",
    HELD,
    claim(2),
    now=LATE,
    status=Status.LEASED,
    grant=Grant(0, LATE + 30_000),
)
gives("the same claim again is the same, not longer", HELD, claim(now=LATE + 5), "same", claimed(ended()), now=LATE + 5)
gives(
    "the same claim again writes nothing, though something else is over",
    replace(HELD, ring=(ring(8, LATE + 5),)),
    claim(now=LATE + 5),
    "same",
    claimed(ended()),
    now=LATE + 5,
)
over = LATE + 30_000
gives(
    "another's claim that ended is taken over",
    HELD,
    claim(2, over),
    left(claimed(ended(), 2, over, 2)),
    claimed(ended(), 2, over, 2),
    now=over,
)
gives(
    "one's own claim that ended is claimed again",
    HELD,
    claim(1, over),
    left(claimed(ended(), 1, over, 2)),
    claimed(ended(), 1, over, 2),
    now=over,
)
most = replace(claimed(ended()), attempts=2**31 - 1)
gives(
    "claims are counted up to 2^31 - 1",
    left(most),
    claim(2, over),
    left(replace(most, claim=op(2), until=over + 30_000)),
    replace(most, claim=op(2), until=over + 30_000),
    now=over,
)
two = left(ended(expired=NOW), ended())
gives(
    "the oldest is claimed first, and the answer tells of more",
    two,
    claim(),
    left(claimed(ended(expired=NOW)), ended()),
    claimed(ended(expired=NOW)),
    results=told(TTL, 1),
)
half = left(claimed(ended(expired=NOW)), ended())
gives(
    "what is claimed is passed over",
    half,
    claim(2),
    left(claimed(ended(expired=NOW)), claimed(ended(), 2)),
    claimed(ended(), 2),
)
gives(
    "the same claim again is not one of the next",
    half,
    claim(),
    "same",
    claimed(ended(expired=NOW)),
    results=told(TTL, 1),
)
lapsed = left(ended(expired=NOW), claimed(ended(), now=LATE - 40_000))
gives(
    "a claim that ended is claimed again under its id, not another beside it",
    lapsed,
    claim(),
    left(ended(expired=NOW), claimed(ended(), attempts=2)),
    claimed(ended(), attempts=2),
    results=told(TTL, 1),
)
anew = live({"n": 1}, epoch=EPOCH + 1, announce=True, previous=(ended(expired=NOW - 5),), last_token=41)
one = claimed(ended(expired=NOW - 5), now=NOW)
gives(
    "a claim beside a new session leaves that as it is",
    anew,
    claim(now=NOW),
    replace(anew, previous=(one,)),
    one,
    now=NOW,
    present=True,
)
add(
    "a claim that comes too late",
    ASKED,
    claim(now=END - 10_000),
    now=END,
    status=Status.TOO_LATE,
    revision=0,
    present=False,
)

# renewing
longer = replace(claimed(ended()), until=LATE + 50_000)
gives(
    "a claim is renewed, without the data",
    HELD,
    claim(now=LATE + 20_000, renew=True),
    left(longer),
    longer,
    now=LATE + 20_000,
    bags=(None, None, None),
)
revived = replace(claimed(ended()), until=over + 31_000)
gives(
    "a claim that ended and that nobody took is renewed",
    HELD,
    claim(now=over + 1_000, renew=True),
    left(revived),
    revived,
    now=over + 1_000,
    bags=(None, None, None),
    results=told(TTL),
)
add("a renewal of another's claim", HELD, claim(2, renew=True), now=LATE, status=Status.LEASE_LOST)
add("a renewal claims nothing", ASKED, claim(renew=True), now=LATE, status=Status.LEASE_LOST, revision=0, present=False)
add("a renewal of nothing", None, claim(renew=True), now=LATE, status=Status.LEASE_LOST)

# acknowledging
done = remembering(left(), ack(), revision=0)
add("an acknowledged end is forgotten", HELD, ack(), now=LATE, after=done)
add("acknowledging again is answered as the first time", done, ack(), now=LATE, duplicate=True)
add("a late copy of the claim holds nothing", done, claim(), now=LATE, status=Status.TOO_LATE)
add("another's claim is not acknowledged", HELD, ack(2), now=LATE, status=Status.LEASE_LOST)
add(
    "what is not claimed is not acknowledged",
    ASKED,
    ack(),
    now=LATE,
    status=Status.LEASE_LOST,
    revision=0,
    present=False,
)
add("nothing is not acknowledged", None, ack(), now=LATE, status=Status.LEASE_LOST)
late_ack = ack(1, over + 5)
add(
    "a slow claimer whom nobody followed acknowledges",
    HELD,
    late_ack,
    now=over + 5,
    after=remembering(left(), late_ack, revision=0),
)
followed = left(claimed(ended(), 2, over, 2))
add("a slow claimer whom another followed does not", followed, ack(1, over), now=over, status=Status.LEASE_LOST)
unsure = ack(1, over, retry=True)
add(
    "a refused acknowledgement that may still arrive is remembered",
    followed,
    unsure,
    now=over,
    after=remembering(followed, unsure, Status.LEASE_LOST),
    status=Status.LEASE_LOST,
)
add(
    "only what was claimed is acknowledged",
    half,
    ack(),
    now=LATE,
    after=remembering(left(ended()), ack(), revision=0),
)
beside = replace(anew, previous=(one,))
beside_ack = ack(now=NOW)
add(
    "an acknowledgement leaves the new session as it is",
    beside,
    beside_ack,
    after=remembering(replace(anew, previous=()), beside_ack),
)
full = replace(HELD, ring=(ring(8, LATE + 50_000), ring(9, LATE + 50_000)))
add("a full ring", full, ack(), now=LATE, status=Status.BUSY, limits={"ring": 2})
lasting = replace(anew, ttl=None, announce=False, previous=())
add(
    "what waited for a day is forgotten by who claims it in vain",
    replace(lasting, previous=(one,)),
    claim(now=one.expired + DAY),
    now=one.expired + DAY,
    status=Status.ABSENT,
    after=lasting,
)
add("after a day there is nothing to acknowledge", HELD, ack(1, END + DAY), now=END + DAY, status=Status.LEASE_LOST)

# what moves and what stays
given = live({"g": 1}, epoch=EPOCH + 9, announce=True, previous=(ended(expired=NOW - 5),))
install = Install(op(1), SOON, given.encode(), Mode.IF_NEWER)
put = remembering(replace(given, previous=(one,), last_token=41), install)
add("an install keeps what waits here and brings none", replace(anew, previous=(one,)), install, after=put)
keep = Commit(op(1), NOW + 10_000, (Set(STATE, "n", encode_field(2)),), ttl_mode=TtlMode.KEEP)
add(
    "a commit beside what waits",
    beside,
    keep,
    after=replace(written(beside, keep, state={"n": 2}), touched=beside.touched),
)
small = {"record_bytes": 200}
add(
    "what waits makes no session too large",
    replace(beside, previous=(replace(one, bags=bags({"x": "y" * 5_000})[:2]),)),
    keep,
    after=replace(
        written(beside, keep, state={"n": 2}),
        touched=beside.touched,
        previous=(replace(one, bags=bags({"x": "y" * 5_000})[:2]),),
    ),
    limits=small,
)

# bytes that are none
GOOD = left(claimed(ended()), ended(expired=END + 1, by_lifetime=True)).encode()
for length in range(len(left().encode()), len(GOOD)):
    add(f"a record with an end cut off after {length} bytes", GOOD[:length], Load(), status=Status.CORRUPT)
for name, bad in {
    "announced and not live": replace(left(), announce=True),
    "with a claim of no time": left(replace(claimed(ended()), until=0)),
    "with a claim never made": left(replace(claimed(ended()), attempts=0)),
    "with a claim beyond 2^53": left(replace(claimed(ended()), until=2**53 + 1)),
    "with an end before 1970": left(ended(expired=-1)),
    "with an end beyond 2^53": left(ended(expired=2**53 + 1)),
    "with an end of an epoch from 2^63 on": left(replace(ended(), epoch=2**63)),
    "with an end at a revision from 2^63 on": left(replace(ended(), revision=2**63)),
    "with an end of what began before 1970": left(replace(ended(), created=-1)),
    "with nine ends": left(*(ended() for _ in range(9))),
}.items():
    add(f"a record {name}", bad, Load(), status=Status.CORRUPT, epoch=0, revision=0, present=False)
start = left().encode()
for name, section in {"no ends": b"\0", "an end with an unknown flag": b"\x01\x10" + bytes(32)}.items():
    flagged = start[:4] + (int.from_bytes(start[4:6], "big") | 1024).to_bytes(2, "big") + start[6:]
    add(f"a record with {name}", flagged + section, Load(), status=Status.CORRUPT)
