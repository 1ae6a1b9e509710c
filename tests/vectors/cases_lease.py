"""Leases: granted once, first in first out, renewed, given back, and lost."""

from dataclasses import replace
from typing import Any

from table import (
    ID,
    NOW,
    SOON,
    TOUCHED,
    Table,
    born,
    both,
    given_back,
    gone,
    lease,
    life,
    live,
    op,
    req,
    ring,
    v,
    waiter,
    written,
)

from gridsession._commands import Acquire, Commit, Delete, Load, Release, Renew, Set, Touch, Want
from gridsession._record import STATE, Record
from gridsession._reply import Grant, Status

TABLE = Table()
add = TABLE.add
FREE = replace(live({"n": 5}), last_token=41)
HELD = replace(FREE, lease=lease("a"))
END = NOW + 5_000


def ask(letter: str, patience: int = 1_000, duration: int = 30_000, want: Want = Want.NOTHING, **more: Any) -> Load:
    return Load(want, acquire=Acquire(f"worker-{letter}", req(letter), duration, patience), not_after=SOON, **more)


def got(stored: Record, letter: str, token: int, **more: Any) -> Record:
    return replace(stored, lease=lease(letter, token, NOW + 30_000), last_token=token, **more)


def waits(stored: Record, *queue: Any) -> Record:
    return replace(stored, queue=queue)


# granting
mine = Grant(NOW, NOW + 30_000)
add("a free lease is granted with the time as its token", FREE, ask("b"), after=got(FREE, "b", NOW), grant=mine)
ahead = replace(FREE, last_token=NOW + 7)
add(
    "tokens rise also where the clock is behind",
    ahead,
    ask("b"),
    after=got(ahead, "b", NOW + 8),
    grant=Grant(NOW + 8, NOW + 30_000),
)
first = live({"n": 5})
add("the first token is the time", first, ask("b"), after=got(first, "b", NOW), grant=Grant(NOW, NOW + 30_000))
add(
    "a lease is granted with the record",
    FREE,
    ask("b", want=Want.RECORD),
    after=got(FREE, "b", NOW),
    grant=mine,
    life=life(FREE, NOW + 50_000),
    bags=both(FREE),
)
nothing = Record(ID)
add(
    "a lease on nothing keeps a record without fields",
    None,
    ask("b"),
    after=got(nothing, "b", NOW),
    status=Status.ABSENT,
    grant=Grant(NOW, NOW + 30_000),
)
add("a lease on a tombstone", gone(), ask("b"), after=got(gone(), "b", NOW), status=Status.ABSENT, grant=mine)
leased_only = got(nothing, "b", NOW)
add("a record that is only leased is absent", leased_only, Load(), status=Status.ABSENT)
command = Commit(op(1), SOON, (Set(STATE, "n", v(1)),), token=NOW)
add(
    "a commit under a lease on nothing creates the session",
    leased_only,
    command,
    after=born(command, out_of=replace(leased_only, epoch=NOW - 1), state={"n": 1}),
)
add(
    "a lease with the longest duration",
    FREE,
    ask("b", duration=86_400_000),
    after=replace(FREE, lease=lease("b", NOW, NOW + 86_400_000), last_token=NOW),
    grant=Grant(NOW, NOW + 86_400_000),
)
add(
    "a lease with an owner without a name",
    FREE,
    Load(Want.NOTHING, acquire=Acquire("", req("b"), 30_000, 0), not_after=SOON),
    after=replace(got(FREE, "b", NOW), lease=replace(lease("b", NOW, NOW + 30_000), owner="")),
    grant=mine,
)
add(
    "a lease with the longest owner",
    FREE,
    Load(Want.NOTHING, acquire=Acquire("ü" * 127, req("b"), 30_000, 0), not_after=SOON),
    after=replace(got(FREE, "b", NOW), lease=replace(lease("b", NOW, NOW + 30_000), owner="ü" * 127)),
    grant=mine,
)
add("an acquire that is too late", FREE, replace(ask("b"), not_after=NOW), status=Status.TOO_LATE)
add(
    "acquire, touch and seen in one load",
    FREE,
    ask("b", want=Want.REVISION, touch=Touch(2**62)),
    after=replace(got(FREE, "b", NOW), touched=NOW),
    grant=mine,
    life=life(replace(FREE, touched=NOW), NOW + 60_000),
)

# again
add("asking again gives the same grant", HELD, ask("a"), grant=Grant(41, END))
add("asking again does not extend the lease", HELD, ask("a", duration=86_400_000), grant=Grant(41, END))
add(
    "asking again by the holder is answered though others wait",
    waits(HELD, waiter("b")),
    ask("a"),
    grant=Grant(41, END),
)
add(
    "asking again by another name of the owner is the same request",
    HELD,
    Load(Want.NOTHING, acquire=Acquire("other", req("a"), 1, 0), not_after=SOON),
    grant=Grant(41, END),
)
add(
    "the same owner with another request waits for itself",
    HELD,
    Load(Want.NOTHING, acquire=Acquire("worker-a", req("z"), 30_000, 0), not_after=SOON),
    status=Status.LEASED,
    grant=Grant(0, END, 1),
)

# ends
over = replace(HELD, lease=lease("a", until=NOW))
add("a lease ends at its very millisecond", over, ask("b"), after=got(FREE, "b", NOW), grant=mine)
last = replace(HELD, lease=lease("a", until=NOW + 1))
add("and not a millisecond before", last, ask("b", 0), status=Status.LEASED, grant=Grant(0, NOW + 1, 1))
add("asking again after the end gives a new token", over, ask("a"), after=got(FREE, "a", NOW), grant=mine)
add("asking again in the last millisecond gives the old one", last, ask("a"), grant=Grant(41, NOW + 1))

# queue
add("who has no patience is told and not queued", HELD, ask("b", 0), status=Status.LEASED, grant=Grant(0, END, 1))
add(
    "who has patience is queued",
    HELD,
    ask("b"),
    after=waits(HELD, waiter("b")),
    status=Status.LEASED,
    grant=Grant(0, END, 1),
)
one = waits(HELD, waiter("b"))
two = waits(HELD, waiter("b"), waiter("c"))
add("the second waits behind the first", one, ask("c"), after=two, status=Status.LEASED, grant=Grant(0, END, 2))
add(
    "who has no patience is told the place it would have",
    two,
    ask("d", 0),
    status=Status.LEASED,
    grant=Grant(0, END, 3),
)
add("asking again keeps the place and writes nothing", two, ask("b"), status=Status.LEASED, grant=Grant(0, END, 1))
add("asking again from the second place", two, ask("c"), status=Status.LEASED, grant=Grant(0, END, 2))
add(
    "a leased answer shows neither times nor fields",
    two,
    ask("c", want=Want.RECORD),
    status=Status.LEASED,
    grant=Grant(0, END, 2),
)
add("a leased answer does not touch", two, ask("c", touch=Touch(2**62)), status=Status.LEASED, grant=Grant(0, END, 2))
absent_two = replace(gone(), lease=lease("a"), queue=(waiter("b"),))
add(
    "waiting on an absent session is leased, not absent",
    absent_two,
    ask("b"),
    status=Status.LEASED,
    grant=Grant(0, END, 1),
)

# patience
half = waits(HELD, waiter("b", NOW + 500), waiter("c"))
add("with half the patience left nothing is written", half, ask("b"), status=Status.LEASED, grant=Grant(0, END, 1))
less = waits(HELD, waiter("b", NOW + 499), waiter("c"))
add(
    "with less than half left it is renewed in its place",
    less,
    ask("b"),
    after=two,
    status=Status.LEASED,
    grant=Grant(0, END, 1),
)
add(
    "patience of its last millisecond is renewed",
    waits(HELD, waiter("b", NOW + 1)),
    ask("b"),
    after=one,
    status=Status.LEASED,
    grant=Grant(0, END, 1),
)
add("asking again without patience keeps the place", one, ask("b", 0), status=Status.LEASED, grant=Grant(0, END, 1))
add(
    "asking again with less patience shortens nothing", one, ask("b", 100), status=Status.LEASED, grant=Grant(0, END, 1)
)
add(
    "asking again with more patience extends it",
    one,
    ask("b", 86_400_000),
    after=waits(HELD, waiter("b", NOW + 86_400_000)),
    status=Status.LEASED,
    grant=Grant(0, END, 1),
)
odd_half = waits(HELD, waiter("b", NOW + 500))
add(
    "half of an odd patience counts as less",
    odd_half,
    ask("b", 1_001),
    after=waits(HELD, waiter("b", NOW + 1_001)),
    status=Status.LEASED,
    grant=Grant(0, END, 1),
)

# dropping out
lost = waits(HELD, waiter("b", NOW), waiter("c"))
add("a waiter that stopped asking drops out", lost, ask("c"), status=Status.LEASED, grant=Grant(0, END, 1))
add(
    "the record is written without it only when there is something to write",
    lost,
    ask("d"),
    after=waits(HELD, waiter("c"), waiter("d")),
    status=Status.LEASED,
    grant=Grant(0, END, 2),
)
add(
    "a waiter that dropped out comes back at the end",
    lost,
    ask("b"),
    after=waits(HELD, waiter("c"), waiter("b")),
    status=Status.LEASED,
    grant=Grant(0, END, 2),
)

# the free lease goes to the first
free_two = waits(FREE, waiter("b"), waiter("c"))
add(
    "a free lease is the first waiter's",
    free_two,
    ask("b"),
    after=got(FREE, "b", NOW, queue=(waiter("c"),)),
    grant=mine,
)
add(
    "a free lease is kept for the first: the second waits",
    free_two,
    ask("c"),
    status=Status.LEASED,
    grant=Grant(0, NOW + 1_000, 2),
)
add(
    "a free lease is kept for the first: a newcomer is queued",
    free_two,
    ask("d"),
    after=waits(FREE, waiter("b"), waiter("c"), waiter("d")),
    status=Status.LEASED,
    grant=Grant(0, NOW + 1_000, 3),
)
add(
    "a free lease is kept for the first: a newcomer without patience",
    free_two,
    ask("d", 0),
    status=Status.LEASED,
    grant=Grant(0, NOW + 1_000, 3),
)
gone_first = waits(FREE, waiter("b", NOW), waiter("c"))
add("the first stopped asking: the second gets the lease", gone_first, ask("c"), after=got(FREE, "c", NOW), grant=mine)
add(
    "all stopped asking: a newcomer gets the lease",
    waits(FREE, waiter("b", NOW - 1), waiter("c", NOW)),
    ask("d", 0),
    after=got(FREE, "d", NOW),
    grant=mine,
)
ended_two = waits(over, waiter("b"), waiter("c"))
add(
    "the holder's lease ended: the first waiter gets it",
    ended_two,
    ask("b"),
    after=got(FREE, "b", NOW, queue=(waiter("c"),)),
    grant=mine,
)
add(
    "the holder's lease ended: the holder itself is a newcomer",
    ended_two,
    ask("a"),
    after=waits(FREE, waiter("b"), waiter("c"), waiter("a")),
    status=Status.LEASED,
    grant=Grant(0, NOW + 1_000, 3),
)
add("the holder that also waits gets its own grant", waits(HELD, waiter("a")), ask("a"), grant=Grant(41, END))

# full queue
full = waits(HELD, waiter("b"), waiter("c"))
add("a full queue is busy", full, ask("d"), status=Status.BUSY, grant=Grant(0, END, 3), limits={"waiters": 2})
add(
    "in a full queue the waiting keep their places",
    full,
    ask("c"),
    status=Status.LEASED,
    grant=Grant(0, END, 2),
    limits={"waiters": 2},
)
add(
    "the last place of the queue",
    one,
    ask("c"),
    after=two,
    status=Status.LEASED,
    grant=Grant(0, END, 2),
    limits={"waiters": 2},
)
add(
    "in a full queue those who stopped asking make room",
    waits(HELD, waiter("b", NOW), waiter("c")),
    ask("d"),
    after=waits(HELD, waiter("c"), waiter("d")),
    status=Status.LEASED,
    grant=Grant(0, END, 2),
    limits={"waiters": 2},
)


# renew
def renew(token: int = 41, duration: int = 30_000) -> Renew:
    return Renew(token, duration, SOON)


renewed = replace(HELD, lease=lease("a", until=NOW + 30_000))
add("renew counts from now and leaves revision and ttl", HELD, renew(), after=renewed, grant=Grant(41, NOW + 30_000))
add(
    "renew may shorten",
    HELD,
    renew(duration=1),
    after=replace(HELD, lease=lease("a", until=NOW + 1)),
    grant=Grant(41, NOW + 1),
)
add("renew in the last millisecond", last, renew(), after=renewed, grant=Grant(41, NOW + 30_000))
add("renew at the end is too late: the lease is lost though nobody took it", over, renew(), status=Status.LEASE_LOST)
add("renew of a free lease", FREE, renew(), status=Status.LEASE_LOST)
add("renew by another token", HELD, renew(40), status=Status.LEASE_LOST)
add("renew by a token to come", HELD, renew(42), status=Status.LEASE_LOST)
add("renew with token 0", FREE, renew(0), status=Status.LEASE_LOST)
add("renew of nothing", None, renew(), status=Status.LEASE_LOST)
add("renew after its deadline", HELD, replace(renew(), not_after=NOW), status=Status.TOO_LATE)
add(
    "renew a lease on an absent session",
    replace(gone(), lease=lease("a")),
    renew(),
    after=replace(gone(), lease=lease("a", until=NOW + 30_000)),
    grant=Grant(41, NOW + 30_000),
)
add(
    "renew keeps the queue",
    one,
    renew(),
    after=replace(one, lease=lease("a", until=NOW + 30_000)),
    grant=Grant(41, NOW + 30_000),
)


# release
def release(token: int = 0, letter: str = "z") -> Release:
    return Release(SOON, token, req(letter))


OVER = given_back(FREE)
add(
    "release by token frees the lease, leaves revision and ttl, and remembers the request",
    HELD,
    release(41),
    after=OVER,
)
add("release by token leaves the queue", two, release(41), after=given_back(free_two))
add("release by another token", HELD, release(40), status=Status.LEASE_LOST)
add("release by token twice", FREE, release(41), status=Status.LEASE_LOST)
add("release by token of nothing", None, release(41), status=Status.LEASE_LOST)
add("release by token after the end", over, release(41), status=Status.LEASE_LOST)
add("release by token ignores the request id", HELD, release(41, "b"), after=OVER)
add("release by request id frees the lease", HELD, release(0, "a"), after=OVER)
add("release by request id leaves the queue", two, release(0, "b"), after=given_back(waits(HELD, waiter("c")), "b"))
add("release by request id of the second waiter", two, release(0, "c"), after=given_back(one, "c"))
add(
    "release by an unknown request id is remembered: its acquire may be on the way",
    two,
    release(0, "d"),
    after=given_back(two, "d"),
)
add("release by request id of nothing is remembered too", None, release(0, "a"), after=given_back(Record(ID)))
add("release by request id after the end is ok", over, release(0, "a"), after=OVER)
add("release by request id twice changes nothing", OVER, release(0, "a"))
add(
    "release by request id writes what has ended out of the record",
    replace(over, queue=(waiter("b"), waiter("c", NOW))),
    release(0, "b"),
    after=given_back(FREE, "b"),
)
add("release after its deadline", HELD, replace(release(41), not_after=NOW), status=Status.TOO_LATE)
add(
    "release of a lease on nothing leaves the token behind",
    leased_only,
    release(NOW),
    after=given_back(Record(ID, last_token=NOW), "b"),
)
add(
    "a lease after that has a greater token, in the same millisecond",
    Record(ID, last_token=NOW),
    ask("c"),
    after=got(nothing, "c", NOW + 1),
    status=Status.ABSENT,
    grant=Grant(NOW + 1, NOW + 30_000),
)

add(
    "a late acquire of a request that was given back is refused",
    OVER,
    ask("a"),
    status=Status.TOO_LATE,
    grant=Grant(0, 0),
)
add(
    "and so is one that was given back before it ever arrived",
    given_back(two, "d"),
    ask("d"),
    status=Status.TOO_LATE,
    grant=Grant(0, 0),
)
add(
    "another request of the same worker is granted",
    OVER,
    Load(Want.NOTHING, acquire=Acquire("worker-a", req("y"), 30_000, 0), not_after=SOON),
    after=replace(OVER, lease=replace(lease("a", NOW, NOW + 30_000), request_id=req("y")), last_token=NOW),
    grant=mine,
)
stale = given_back(FREE, until=NOW - 1_000)
add(
    "a request given back is forgotten a second after the deadline of the release",
    stale,
    ask("a"),
    after=got(FREE, "a", NOW),
    grant=mine,
)
kept = Commit(req("a"), SOON, token=41, release=True)
add(
    "a turn that commits under the id of its request needs no second entry",
    HELD,
    kept,
    after=written(HELD, kept, lease=None),
)
add(
    "a commit under the id of a request that was given back is refused as lost",
    OVER,
    Commit(req("a"), SOON, token=41),
    status=Status.LEASE_LOST,
    duplicate=True,
)
lost_delete = Delete(op(1), SOON, token=41, release=True)
add(
    "a delete that gives the lease back",
    HELD,
    lost_delete,
    revision=7,
    after=given_back(replace(gone(), ring=(ring(1),)), revision=0),
)
held_tomb = replace(gone(), lease=lease("a"))
add(
    "a delete of nothing that gives the lease back is remembered",
    held_tomb,
    lost_delete,
    status=Status.ABSENT,
    after=given_back(replace(gone(), ring=(ring(1, status=Status.ABSENT, revision=0),))),
)

crowded = replace(HELD, ring=(ring(8), ring(9)))
add(
    "in a ring that is half full a release is not remembered",
    crowded,
    release(41),
    after=replace(FREE, ring=(ring(8), ring(9))),
    limits={"ring": 5},
)
add("in a ring that is half full a release of nothing changes nothing", crowded, release(0, "d"), limits={"ring": 5})
add(
    "the last place of the ring's first half remembers a release",
    crowded,
    release(41),
    after=given_back(replace(FREE, ring=(ring(8), ring(9)))),
    limits={"ring": 6},
)

# late holders
taken = got(HELD, "b", NOW)
add("a late holder cannot commit", taken, Commit(op(1), SOON, token=41), status=Status.LEASE_LOST)
add("a late holder cannot delete", taken, Delete(op(1), SOON, token=41), status=Status.LEASE_LOST)
add("a late holder cannot renew", taken, renew(), status=Status.LEASE_LOST)
add("a late holder cannot release", taken, release(41), status=Status.LEASE_LOST)
add("a late release by request id leaves the new holder's lease", taken, release(0, "a"), after=given_back(taken))
add(
    "a holder whose lease ended cannot commit though nobody took it",
    over,
    Commit(op(1), SOON, token=41),
    status=Status.LEASE_LOST,
)

# leases and the life of the session
ended = replace(HELD, touched=TOUCHED - 60_000)
add("a lease outlives the session", ended, Load(), status=Status.ABSENT, revision=0, present=False)
command = Commit(op(1), SOON, token=41)
add(
    "a turn over an expired session begins a new one",
    ended,
    command,
    after=born(command, out_of=replace(gone(), lease=lease("a"))),
)
