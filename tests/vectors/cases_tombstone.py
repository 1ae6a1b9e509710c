"""Delete: what stays behind, and that nothing comes back of itself."""

from dataclasses import replace
from typing import Any

from table import EPOCH, ID, NOW, SOON, Table, born, gone, lease, live, op, remembering, req, ring, v, waiter

from gridsession._codec import encode
from gridsession._commands import (
    Absent,
    Acquire,
    AtRevision,
    Commit,
    Delete,
    Increment,
    Load,
    NotRemembered,
    Present,
    Remove,
    Set,
    Touch,
    TtlMode,
    Unchanged,
    Want,
    digest,
)
from gridsession._record import RECENT, STATE, Record, join_elements
from gridsession._reply import Grant, Status

TABLE = Table()
add = TABLE.add
R = live({"n": 5}, {"p": 1}, {"seen": join_elements(RECENT, [encode("m1")])}, max_lifetime=900_000)
D = Delete(op(1), SOON)


def left(command: Delete = D, **more: Any) -> Record:
    """What a delete of a session at (EPOCH, 7) leaves."""
    return remembering(replace(Record(ID, EPOCH), **more), command, revision=7)


def deletes(name: str, stored: Record, command: Delete = D, **more: Any) -> None:
    add(name, stored, command, after=left(command, **more), revision=7)


deletes("a delete leaves neither times nor fields", R)
deletes("a delete tells the revision it deleted and that the session is gone", live())
deletes("a delete of a session that never expires", replace(R, ttl=None, max_lifetime=None))
deletes("a delete at its revision", R, replace(D, guards=(AtRevision(EPOCH, 7),)))
deletes("a delete of what is present", R, replace(D, guards=(Present(),)))
deletes("a delete of an unchanged field's session", R, replace(D, guards=(Unchanged(STATE, "n", digest(v(5))),)))
add("a delete at another revision", R, replace(D, guards=(AtRevision(EPOCH, 6),)), status=Status.CONFLICT, index=0)
add("a delete of what must be absent", R, replace(D, guards=(Absent(),)), status=Status.CONFLICT, index=0)
add(
    "a delete guarded by a remembered message",
    R,
    replace(D, guards=(Present(), NotRemembered("seen", encode("m1")))),
    status=Status.CONFLICT,
    index=1,
)
add("a delete of nothing is absent", None, D, status=Status.ABSENT)
add("a delete of a tombstone is absent", gone(), D, status=Status.ABSENT)
add("a delete of nothing that must be present", None, replace(D, guards=(Present(),)), status=Status.ABSENT, index=0)
add("a delete at its deadline is too late", R, Delete(op(1), NOW), status=Status.TOO_LATE)
add("a delete beyond the horizon", R, Delete(op(1), NOW + 300_001), status=Status.MALFORMED)
add("exactly one of two deleters is told ok: the second", left(), Delete(op(2), SOON), status=Status.ABSENT)
retry = replace(D, retry=True)
add(
    "a retried delete of nothing is remembered",
    None,
    retry,
    after=remembering(Record(ID), retry, Status.ABSENT),
    status=Status.ABSENT,
)
add(
    "a retried delete of a tombstone is remembered",
    gone(),
    retry,
    after=remembering(gone(), retry, Status.ABSENT),
    status=Status.ABSENT,
)
busy = replace(
    R, ring=(ring(8), ring(9, NOW - 1_000)), last_token=41, lease=lease(), queue=(waiter("b"), waiter("c", NOW))
)
deletes(
    "a delete keeps what must outlive the session",
    busy,
    ring=(ring(8),),
    last_token=41,
    lease=lease(),
    queue=(waiter("b"),),
)
deletes(
    "a delete under the lease keeps the lease",
    busy,
    replace(D, token=41),
    ring=(ring(8),),
    last_token=41,
    lease=lease(),
    queue=(waiter("b"),),
)
add("a delete under another token", busy, replace(D, token=40), status=Status.LEASE_LOST)

# nothing comes back
T = left()
add("a tombstone is absent", T, Load(), status=Status.ABSENT)
add("a tombstone is not touched", T, Load(touch=Touch(2**62, 90_000)), status=Status.ABSENT)
add(
    "a tombstone remembers no message",
    T,
    Load(Want.NOTHING, seen=NotRemembered("seen", encode("m1"))),
    status=Status.ABSENT,
)
add(
    "a late commit at the old revision conflicts",
    T,
    Commit(op(2), SOON, (Set(STATE, "n", v(6)),), (AtRevision(EPOCH, 7),)),
    status=Status.CONFLICT,
    index=0,
)
add(
    "a late commit that read a field conflicts",
    T,
    Commit(op(2), SOON, (Set(STATE, "n", v(6)),), (Unchanged(STATE, "n", digest(v(5))),)),
    status=Status.CONFLICT,
    index=0,
)
add(
    "a late commit of what was present is refused",
    T,
    Commit(op(2), SOON, (Set(STATE, "n", v(6)),), (Present(),)),
    status=Status.ABSENT,
    index=0,
)
add("removing from a tombstone creates nothing", T, Commit(op(2), SOON, (Remove(STATE, "n"),)), results=(False,))
add("clearing a tombstone creates nothing", T, Commit(op(2), SOON, clear=3))
add(
    "a tombstone stands as long as a resend may come",
    T,
    replace(D, retry=True),
    now=SOON - 1,
    duplicate=True,
    revision=7,
)
add("a tombstone past all deadlines is nothing", T, Delete(op(5), SOON + 9), now=SOON, status=Status.ABSENT)

# recreation
C = Commit(op(2), SOON, (Increment(STATE, "n", 1),), ttl_mode=TtlMode.KEEP)
add(
    "a session after a delete begins empty in the next epoch at revision 1",
    T,
    C,
    after=born(C, out_of=T, state={"n": 1}, results=(v(1),)),
    results=(v(1),),
)
add(
    "past all deadlines it still takes the next epoch",
    T,
    replace(C, not_after=SOON + 1_009),
    now=SOON + 1_000,
    after=born(
        replace(C, not_after=SOON + 1_009), SOON + 1_000, out_of=Record(ID, EPOCH), state={"n": 1}, results=(v(1),)
    ),
    results=(v(1),),
)
high = replace(T, epoch=NOW + 5)
add(
    "the next epoch rises even above the clock",
    high,
    C,
    after=born(C, out_of=high, state={"n": 1}, results=(v(1),)),
    results=(v(1),),
)
twice = born(C, out_of=T, state={"n": 1}, results=(v(1),))
D2 = Delete(op(3), SOON)
add(
    "a second delete keeps all ids",
    twice,
    D2,
    after=remembering(Record(ID, EPOCH + 1, ring=twice.ring), D2, revision=1),
    revision=1,
)
add(
    "a lease after a delete goes on with the tokens",
    replace(T, last_token=41),
    Load(Want.NOTHING, acquire=Acquire("worker-b", req("b"), 1_000, 0), not_after=SOON),
    after=replace(T, last_token=NOW, lease=lease("b", NOW, NOW + 1_000)),
    status=Status.ABSENT,
    grant=Grant(NOW, NOW + 1_000),
)
