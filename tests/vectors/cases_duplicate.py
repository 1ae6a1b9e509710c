"""Resends: the first attempt's answer, never a second application; and refusals that a retry leaves behind."""

from dataclasses import replace
from typing import Any

from table import (
    EPOCH,
    ID,
    NOW,
    SOON,
    TOUCHED,
    Table,
    both,
    given_back,
    gone,
    lease,
    life,
    live,
    op,
    remembering,
    ring,
    v,
    written,
)

from gridsession._commands import (
    Absent,
    Append,
    AtRevision,
    Commit,
    Delete,
    Increment,
    Install,
    Mode,
    Present,
    Remove,
    Set,
    Want,
)
from gridsession._record import STATE, Record
from gridsession._reply import Status

TABLE = Table()
add = TABLE.add
SECOND = Commit(op(1), SOON, (Increment(STATE, "n", 1),), retry=True)
FIRST = replace(SECOND, retry=False)
TOLD = ring(1, revision=8, results=(v(6),))
"""What the first attempt left, when it stood at revision 8 and answered 6."""
R = live({"n": 6}, revision=8, ring=(TOLD,))


def again(name: str, stored: Record, command: Any = SECOND, **told: Any) -> None:
    said: dict[str, Any] = {"epoch": EPOCH, "revision": 8, "results": (v(6),), "duplicate": True}
    add(name, stored, command, **(said | told))


again("a resend is answered and not applied", R)
again("the retry flag does not matter for a resend", R, FIRST)
again("a resend in the last millisecond", R, now=SOON - 1)
add("a resend at its deadline is too late", R, SECOND, now=SOON, status=Status.TOO_LATE)
moved = replace(R, revision=12, bags=live({"n": 9}).bags)
again("a resend after other commits tells the first answer", moved)
again(
    "a resend wanting the record gets the record of now with the first answer",
    moved,
    replace(SECOND, want=Want.RECORD),
    life=life(moved, NOW + 50_000),
    bags=both(moved),
)
again(
    "a resend wanting what changed gets the record",
    moved,
    replace(SECOND, want=Want.CHANGED),
    life=life(moved, NOW + 50_000),
    bags=both(moved),
)
again(
    "a resend wanting the revision gets the times of now and the first revision",
    moved,
    replace(SECOND, want=Want.REVISION),
    life=life(moved, NOW + 50_000),
)
again("a resend is known by its id alone, whatever it asks", R, Commit(op(1), SOON, (Set(STATE, "x", v(1)),)))
again("a resend is answered before its token is checked", R, replace(SECOND, token=99))
again("a resend is answered before its guards are checked", R, replace(SECOND, guards=(Absent(),)))
again("a resend finds its id among others", replace(R, ring=(ring(5), TOLD, ring(6))))
again("a resend is answered though the ring is full", replace(R, ring=(ring(5), TOLD)), limits={"ring": 2})
again("a resend is answered though the record is too large by now", R, limits={"record_bytes": 10})
again("the id of a commit is taken for a delete as well", R, Delete(op(1), SOON))
again("the id of a commit is taken for an install as well", R, Install(op(1), SOON, live().encode(), Mode.IF_NEWER))

# after delete, expiry, recreation, install
dead = replace(gone(), ring=(TOLD, ring(2, revision=8)))
again("a resend after a delete", dead)
again("a resend after a delete wanting the record shows none", dead, replace(SECOND, want=Want.RECORD))
again("a resend after the session expired", replace(R, touched=TOUCHED - 60_000), present=False)
reborn = Record(
    ID, EPOCH + 1, True, 1, NOW, NOW, ring=(TOLD, ring(2, revision=8), ring(3, revision=1, epoch=EPOCH + 1))
)
again("a resend after delete and recreation tells the former epoch", reborn)
again("a resend from three lives ago", replace(reborn, epoch=EPOCH + 3))
again("a resend from three hundred lives ago", replace(reborn, epoch=EPOCH + 300))
again("a resend after an install of another epoch", replace(reborn, epoch=EPOCH + 777_000, revision=40))
again("the newer life's own resend", reborn, Commit(op(3), SOON), epoch=EPOCH + 1, revision=1, results=())
again("a resent delete", dead, Delete(op(2), SOON), results=())
again("a resent delete after recreation", reborn, Delete(op(2), SOON), results=())

# the answer of each kind
empty = replace(R, ring=(ring(1, revision=8),))
again("a resend of a commit without results", empty, results=())
mixed = (None, True, False, b"", v("x"))
again("a resend with one of each result", replace(R, ring=(ring(1, revision=8, results=mixed),)), results=mixed)
for status in (
    Status.CONFLICT,
    Status.ABSENT,
    Status.LEASE_LOST,
    Status.TOO_LARGE,
    Status.WRONG_TYPE,
    Status.MALFORMED,
):
    refused_before = replace(R, ring=(ring(1, status=status, revision=8),))
    again(f"a resend of what was refused as {status.name.lower()}", refused_before, status=status, results=())
again(
    "a refusal resent shows the record if it is wanted",
    refused_before,
    replace(SECOND, want=Want.RECORD),
    status=Status.MALFORMED,
    results=(),
    life=life(R, NOW + 50_000),
    bags=both(R),
)

# refusals: without the retry flag nothing is left behind, with it the answer is
S = live({"n": "text"})
N = live({"n": 5})
ABSENT = Commit(op(1), SOON, guards=(Present(),))
REFUSALS: tuple[tuple[str, Record | None, Any, Status, int], ...] = (
    ("a conflict", N, Commit(op(1), SOON, guards=(Absent(),)), Status.CONFLICT, 0),
    (
        "a conflict of the second guard",
        N,
        Commit(op(1), SOON, guards=(Present(), AtRevision(EPOCH, 6))),
        Status.CONFLICT,
        1,
    ),
    ("a lost lease", N, Commit(op(1), SOON, token=5), Status.LEASE_LOST, -1),
    ("a wrong type", S, Commit(op(1), SOON, (Set(STATE, "a", v(1)), Increment(STATE, "n", 1))), Status.WRONG_TYPE, 1),
    ("an absent session", gone(), ABSENT, Status.ABSENT, 0),
    ("a delete in conflict", N, Delete(op(1), SOON, (AtRevision(EPOCH, 6),)), Status.CONFLICT, 0),
    ("a delete under a lost lease", N, Delete(op(1), SOON, token=5), Status.LEASE_LOST, -1),
    ("an install over a session", N, Install(op(1), SOON, live().encode()), Status.CONFLICT, -1),
    ("an install of rubbish", N, Install(op(1), SOON, b"rubbish"), Status.MALFORMED, -1),
)
for name, stored, command, status, index in REFUSALS:
    add(f"{name} leaves nothing behind at the first attempt", stored, command, status=status, index=index)
    add(
        f"{name} at a retry is remembered",
        stored,
        replace(command, retry=True),
        after=remembering(stored, command, status),
        status=status,
        index=index,
    )
    add(
        f"{name} at a retry is what the late first attempt finds",
        remembering(stored, command, status),
        command,
        status=status,
        duplicate=True,
    )
    add(
        f"{name} at a retry into a full ring is busy",
        replace(stored, ring=(ring(8), ring(9))),
        replace(command, retry=True),
        status=Status.BUSY,
        limits={"ring": 2},
    )
retry = replace(ABSENT, retry=True)
nothing = Record(ID)
add(
    "a retry refused for nothing keeps a record without a session",
    None,
    retry,
    after=remembering(nothing, retry, Status.ABSENT),
    status=Status.ABSENT,
    index=0,
)
add(
    "so the late first attempt finds it",
    remembering(nothing, retry, Status.ABSENT),
    ABSENT,
    status=Status.ABSENT,
    duplicate=True,
)
later = Commit(op(1), SOON, (Set(STATE, "a", v(1)),), (Absent(),))
add(
    "the late first attempt of a refused retry is not applied though it would fit by now",
    replace(gone(), ring=(ring(1, status=Status.CONFLICT),)),
    later,
    status=Status.CONFLICT,
    duplicate=True,
    revision=7,
)

# ineffective commits
idle = Commit(op(1), SOON, (Remove(STATE, "no"),))
add("an ineffective commit leaves nothing behind at the first attempt", N, idle, results=(False,))
idle_retry = replace(idle, retry=True)
add(
    "an ineffective commit at a retry is remembered",
    N,
    idle_retry,
    after=remembering(N, idle_retry, results=(False,)),
    results=(False,),
)
add(
    "an ineffective commit at a retry is what the first attempt finds",
    live({"n": 5, "no": 1}, ring=(ring(1, results=(False,)),)),
    idle,
    duplicate=True,
    results=(False,),
)
add(
    "an ineffective commit at a retry, for nothing",
    None,
    idle_retry,
    after=remembering(nothing, idle_retry, results=(False,)),
    results=(False,),
)
popless = replace(idle_retry, operations=(Append(STATE, "none", ()),))
add("an ineffective append at a retry", N, popless, after=remembering(N, popless, results=(v(0),)), results=(v(0),))

# an effective retry is a commit like any other
add(
    "a retry that arrives first is applied",
    N,
    SECOND,
    after=written(N, SECOND, state={"n": 6}, results=(v(6),)),
    results=(v(6),),
)
gave = replace(SECOND, token=41, release=True)
H = replace(N, lease=lease(), last_token=41)
done = given_back(written(H, gave, state={"n": 6}, results=(v(6),), lease=None))
add("a retried commit that gives the lease back", H, gave, after=done, results=(v(6),))
add("its resend is answered though the lease is gone", done, gave, duplicate=True, results=(v(6),))

# the ring forgets a second after the deadline and not before: the next member's clock may be behind
old = replace(N, ring=(ring(7, NOW - 1_000), ring(8, NOW - 999)))
add(
    "a commit drops what the ring need not hold",
    old,
    FIRST,
    after=written(replace(N, ring=(ring(8, NOW - 999),)), FIRST, state={"n": 6}, results=(v(6),)),
    results=(v(6),),
)
add("the last millisecond of an id", old, Commit(op(8), NOW + 1), duplicate=True)
add("a load does not write only to drop ids", old, Commit(op(9), SOON, (Remove(STATE, "no"),)), results=(False,))
full = replace(N, ring=(ring(8), ring(9)))
add("a full ring is busy", full, FIRST, status=Status.BUSY, limits={"ring": 2})
add("a full ring is busy for a delete", full, Delete(op(1), SOON), status=Status.BUSY, limits={"ring": 2})
add(
    "a full ring is busy for an install",
    full,
    Install(op(1), SOON, live().encode()),
    status=Status.BUSY,
    limits={"ring": 2},
)
add(
    "a full ring is busy before the token is looked at",
    full,
    replace(FIRST, token=9),
    status=Status.BUSY,
    limits={"ring": 2},
)
room = replace(N, ring=(ring(8, NOW - 1_000), ring(9)))
add(
    "an id a second past its deadline makes room",
    room,
    FIRST,
    after=written(replace(N, ring=(ring(9),)), FIRST, state={"n": 6}, results=(v(6),)),
    results=(v(6),),
    limits={"ring": 2},
)
add(
    "the last place in the ring",
    replace(N, ring=(ring(9),)),
    FIRST,
    after=written(replace(N, ring=(ring(9),)), FIRST, state={"n": 6}, results=(v(6),)),
    results=(v(6),),
    limits={"ring": 2},
)
add(
    "ids are compared whole",
    replace(N, ring=(ring(1 + 256),)),
    FIRST,
    after=written(replace(N, ring=(ring(1 + 256),)), FIRST, state={"n": 6}, results=(v(6),)),
    results=(v(6),),
)
