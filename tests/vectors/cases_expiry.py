"""The end of a session by time: not a millisecond early, not one late, and for every command alike."""

from dataclasses import replace
from typing import Any

from table import (
    EPOCH,
    ID,
    NOW,
    Table,
    born,
    both,
    lease,
    life,
    live,
    op,
    remembering,
    req,
    ring,
    v,
    waiter,
)

from gridsession._codec import encode
from gridsession._commands import (
    Absent,
    Acquire,
    Allow,
    AtRevision,
    Commit,
    Delete,
    Field,
    Increment,
    Install,
    Load,
    Mode,
    NotRemembered,
    Pop,
    Present,
    Remember,
    Remove,
    Renew,
    Set,
    Take,
    Touch,
    TtlMode,
    Unchanged,
    Want,
    digest,
)
from gridsession._record import GATE, META, RECENT, STATE, Record, join_elements
from gridsession._reply import Grant, Status

TABLE = Table()
END = NOW + 50_000
LATE = END + 10_000
META_FIELDS = {"seen": join_elements(RECENT, [encode("m1")]), "gate": bytes((GATE,)) + END.to_bytes(8, "big")}
R = live({"n": 5, "l": [1]}, {"p": "q"}, META_FIELDS)
LEFT = Record(ID, EPOCH)


def ended(name: str, command: Any, *, now: int = END, stored: Record = R, **told: Any) -> None:
    """A command that finds the session expired."""
    said: dict[str, Any] = {"revision": 0, "present": False} if isinstance(told.get("after", "same"), str) else {}
    TABLE.add(name, stored, command, now=now, **(said | told))


def commit(*operations: Any, guards: Any = (), **more: Any) -> Commit:
    return Commit(op(1), LATE, operations, guards, **more)


# the very millisecond
for early in (10_000, 1_000, 2, 1):
    TABLE.add(f"{early} ms before the end all is there", R, Load(), now=END - early, life=life(R, END), bags=both(R))
for late in (0, 1, 1_000, 86_400_000, 3_155_760_000_000):
    ended(f"{late} ms after the end nothing is", Load(), now=END + late, status=Status.ABSENT)
capped = replace(R, max_lifetime=50_000)
TABLE.add(
    "1 ms before the end by max_lifetime all is there",
    capped,
    Load(),
    now=NOW + 9_999,
    life=life(capped, NOW + 10_000),
    bags=both(capped),
)
ended("at the end by max_lifetime nothing is", Load(), stored=capped, now=NOW + 10_000, status=Status.ABSENT)
lasting = replace(R, ttl=None)
TABLE.add(
    "a session without ttl is there after a hundred years",
    lasting,
    Load(),
    now=NOW + 3_155_760_000_000,
    life=life(lasting, None),
    bags=both(lasting),
)
soonest = replace(R, ttl=1, touched=NOW)
TABLE.add(
    "a ttl of a millisecond holds in its millisecond", soonest, Load(), life=life(soonest, NOW + 1), bags=both(soonest)
)
ended("a ttl of a millisecond is over in the next", Load(), stored=soonest, now=NOW + 1, status=Status.ABSENT)
ahead = replace(R, touched=NOW + 9_000)
TABLE.add(
    "a session touched by a clock ahead of this one is there",
    ahead,
    Load(),
    life=life(ahead, NOW + 69_000),
    bags=both(ahead),
)

# nothing of it is visible
ended(
    "names of an expired session show nothing",
    Load(names=(Field(STATE, "n"), Field(META, "seen"))),
    status=Status.ABSENT,
)
ended(
    "an expired session remembers no message",
    Load(Want.NOTHING, seen=NotRemembered("seen", encode("m1"))),
    status=Status.ABSENT,
)
ended("an expired session is not touched back to life", Load(touch=Touch(2**62, 90_000)), status=Status.ABSENT)
ended(
    "an expired session cannot be at its revision",
    commit(guards=(AtRevision(EPOCH, 7),)),
    status=Status.CONFLICT,
    index=0,
)
ended(
    "an expired session is not at revision 0 either",
    commit(guards=(AtRevision(EPOCH, 0),)),
    status=Status.CONFLICT,
    index=0,
)
ended("an expired session is not present", commit(guards=(Present(),)), status=Status.ABSENT, index=0)
ended(
    "a field of an expired session has changed",
    commit(guards=(Unchanged(STATE, "n", digest(v(5))),)),
    status=Status.CONFLICT,
    index=0,
)
ended("removing from an expired session finds nothing", commit(Remove(STATE, "n")), results=(False,))
ended("taking from an expired session finds nothing", commit(Take(STATE, "n"), Pop(STATE, "l")))
ended("clearing an expired session finds nothing", commit(clear=3))
ended("deleting an expired session finds nothing", Delete(op(1), LATE), status=Status.ABSENT)
ended(
    "deleting an expired session under its revision conflicts",
    Delete(op(1), LATE, (AtRevision(EPOCH, 7),)),
    status=Status.CONFLICT,
    index=0,
)

# what comes next is a new session
command = commit(Increment(STATE, "n", 1))
ended(
    "a counter starts anew",
    command,
    after=born(command, END, out_of=LEFT, state={"n": 1}, results=(v(1),)),
    results=(v(1),),
)
command = commit(Set(STATE, "a", v(1)), ttl_mode=TtlMode.KEEP, created_ttl=9_000)
ended(
    "keep keeps no ttl of the former session", command, after=born(command, END, out_of=LEFT, state={"a": 1}, ttl=9_000)
)
command = commit(Set(STATE, "a", v(1)))
ended(
    "a new session inherits neither ttl nor max_lifetime",
    command,
    stored=capped,
    after=born(command, END, out_of=LEFT, state={"a": 1}),
)
command = commit(Remember("seen", encode("m1"), 10), Allow("gate", 86_400_000))
ended(
    "a message is new and a gate open in a new session",
    command,
    after=born(
        command,
        END,
        out_of=LEFT,
        results=(True, True),
        meta={"seen": META_FIELDS["seen"], "gate": bytes((GATE,)) + END.to_bytes(8, "big")},
    ),
    results=(True, True),
)
command = commit(guards=(Absent(), NotRemembered("seen", encode("m1")), Unchanged(STATE, "n", b"")))
ended("guards see the new session's emptiness", command, after=born(command, END, out_of=LEFT))
command = commit(Set(STATE, "n", v(1)), want=Want.RECORD)
then = born(command, END, out_of=LEFT, state={"n": 1})
ended("a new session shows only its own", command, after=then, life=life(then, None), bags=both(then))

# what outlives it
kept = replace(
    R, last_token=41, lease=lease("a", until=END + 5_000), queue=(waiter("b", END + 1_000),), ring=(ring(9, LATE),)
)
outlived = Record(ID, EPOCH, last_token=41, lease=kept.lease, queue=kept.queue, ring=kept.ring)
command = commit(Set(STATE, "n", v(1)))
ended(
    "lease, queue, token and ring outlive the session",
    command,
    stored=kept,
    after=born(command, END, out_of=outlived, state={"n": 1}),
)
ended("the ring of an expired session answers resends", Commit(op(9), LATE), stored=kept, duplicate=True, revision=7)
ended(
    "the lease of an expired session is renewed",
    Renew(41, 9_000, LATE),
    stored=kept,
    after=replace(outlived, lease=lease("a", until=END + 9_000)),
    grant=Grant(41, END + 9_000),
)
ended(
    "the lease of an expired session excludes others",
    Load(Want.NOTHING, acquire=Acquire("worker-c", req("c"), 1_000, 0), not_after=LATE),
    stored=kept,
    status=Status.LEASED,
    grant=Grant(0, END + 5_000, 2),
)
free = replace(R, last_token=41)
ended(
    "a lease on an expired session leaves its fields behind",
    Load(acquire=Acquire("worker-c", req("c"), 1_000, 0), not_after=LATE),
    stored=free,
    after=Record(ID, EPOCH, last_token=END, lease=lease("c", END, END + 1_000)),
    status=Status.ABSENT,
    grant=Grant(END, END + 1_000),
)
command = Install(op(1), LATE, replace(live({"i": 1}, ttl=None), epoch=EPOCH, revision=3).encode())
ended(
    "an install over an expired session takes a new epoch",
    command,
    after=remembering(replace(live({"i": 1}, ttl=None), epoch=EPOCH + 1, revision=3), command),
)
command = Install(op(1), LATE, replace(live({"i": 1}, ttl=None), revision=99).encode(), Mode.IF_NEWER)
ended("an install of a newer copy of an expired session is in conflict", command, status=Status.CONFLICT)
