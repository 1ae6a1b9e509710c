"""Commit: guards, the token, creation, the deadline, and what a reply may carry."""

from dataclasses import replace

from table import (
    EMPTY,
    EPOCH,
    ID,
    NOW,
    SOON,
    Table,
    born,
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

from gridsession._codec import encode
from gridsession._commands import (
    Absent,
    AtRevision,
    Commit,
    NotRemembered,
    Present,
    Remove,
    Set,
    Unchanged,
    Want,
    digest,
)
from gridsession._record import META, PROPS, RECENT, STATE, Record, join_elements
from gridsession._reply import Status

TABLE = Table()
add = TABLE.add
OP = op(1)
SEEN = {"seen": join_elements(RECENT, [encode("m1"), encode("m2")])}
R = live({"step": "address", "n": 5}, {"locale": "th-TH"}, SEEN)
PUT = (Set(STATE, "n", v(6)),)
DONE = {"step": "address", "n": 6}


def commit(*guards: object, operations: object = PUT, **more: object) -> Commit:
    return Commit(OP, SOON, operations, guards, **more)  # type: ignore[arg-type]


def holds(name: str, *guards: object) -> None:
    command = commit(*guards)
    add(name, R, command, after=written(R, command, state=DONE))


def fails(name: str, index: int, *guards: object, status: Status = Status.CONFLICT) -> None:
    add(name, R, commit(*guards), status=status, index=index)


# creation and plain writes
command = commit()
add(
    "a commit writes, raises the revision by one and restarts the ttl",
    R,
    command,
    after=written(R, command, state=DONE),
)
add("a commit to nothing creates the session at revision 1", None, command, after=born(command, state={"n": 6}))
add(
    "a session after a tombstone takes the next epoch",
    gone(),
    command,
    after=born(command, out_of=gone(), state={"n": 6}),
)
command = commit(operations=())
add("a commit without operations creates an empty session", None, command, after=born(command))
add("a commit without operations raises the revision of a session", R, command, after=written(R, command))
command = commit(created_ttl=5_000, created_max_lifetime=9_000)
add(
    "a new session takes the ttl and max_lifetime given for creation",
    None,
    command,
    after=born(command, state={"n": 6}, ttl=5_000, max_lifetime=9_000),
)
add("a session that exists ignores them", R, command, after=written(R, command, state=DONE))
many = commit(operations=(Set(STATE, "a", v(1)), Set(PROPS, "a", v(2)), Set(META, "a", v(3))))
add(
    "the same name in three bags is three fields",
    None,
    many,
    after=born(many, state={"a": 1}, props={"a": 2}, meta={"a": 3}),
)
many = commit(operations=(Set(STATE, "a", v(1)), Set(STATE, "a", v(2)), Set(STATE, "a", v(3))))
add("operations run in order, the last one stands", None, many, after=born(many, state={"a": 3}))

# wants
changing = (
    Set(STATE, "z", v(1)),
    Set(STATE, "n", v(6)),
    Remove(STATE, "step"),
    Set(PROPS, "p", v(True)),
    Set(META, "x", v(1)),
)
for want in (Want.NOTHING, Want.REVISION, Want.CHANGED, Want.RECORD):
    command = commit(operations=changing, want=want)
    after = written(
        R,
        command,
        state={"n": 6, "z": 1},
        props={"locale": "th-TH", "p": True},
        meta={**SEEN, "x": 1},
        results=(None, None, True, None, None),
    )
    shown = {
        Want.NOTHING: {},
        Want.REVISION: {"life": life(after, NOW + 60_000)},
        Want.CHANGED: {"life": life(after, NOW + 60_000), "bags": ({"z": v(1), "n": v(6)}, {"p": v(True)}, None)},
        Want.RECORD: {"life": life(after, NOW + 60_000), "bags": both(after)},
    }[want]
    add(
        f"a commit wanting {want.name.lower()}",
        R,
        command,
        after=after,
        results=(None, None, True, None, None),
        **shown,
    )
command = commit(operations=(Remove(STATE, "n"), Set(STATE, "a", v(1)), Set(STATE, "n", v(2))), want=Want.CHANGED)
after = written(R, command, state={"step": "address", "a": 1, "n": 2}, results=(True, None, None))
add(
    "a field removed and set again moves to the end of the bag and keeps its place among the changed",
    R,
    command,
    after=after,
    results=(True, None, None),
    life=life(after, NOW + 60_000),
    bags=({"n": v(2), "a": v(1)}, EMPTY, None),
)
command = commit(operations=(Remove(STATE, "no"),), want=Want.CHANGED)
add(
    "an ineffective commit wanting what changed shows two empty bags",
    R,
    command,
    results=(False,),
    life=life(R, NOW + 50_000),
    bags=(EMPTY, EMPTY, None),
)
add("and so it does for a session that is absent", None, command, results=(False,), bags=(EMPTY, EMPTY, None))
command = commit(operations=(Remove(STATE, "no"),), want=Want.RECORD)
add(
    "an ineffective commit wanting the record shows it",
    R,
    command,
    results=(False,),
    life=life(R, NOW + 50_000),
    bags=both(R),
)
add("an ineffective commit to nothing creates nothing", None, command, results=(False,))
command = commit(Present(), want=Want.RECORD, operations=PUT)
add("a refused commit shows no record though it is wanted", None, command, status=Status.ABSENT, index=0)

# absent, present
command = commit(Absent())
add("absent holds for nothing", None, command, after=born(command, state={"n": 6}))
add("absent holds for a tombstone", gone(), command, after=born(command, out_of=gone(), state={"n": 6}))
fails("absent fails for a session", 0, Absent())
add(
    "absent holds for an expired session",
    R,
    replace(command, not_after=NOW + 60_000),
    now=NOW + 50_000,
    after=born(replace(command, not_after=NOW + 60_000), NOW + 50_000, out_of=Record(ID, EPOCH), state={"n": 6}),
)
holds("present holds for a session", Present())
add("present fails for nothing", None, commit(Present()), status=Status.ABSENT, index=0)
add("present fails for a tombstone", gone(), commit(Present()), status=Status.ABSENT, index=0)
add(
    "present fails for an expired session",
    R,
    replace(commit(Present()), not_after=NOW + 60_000),
    now=NOW + 50_000,
    status=Status.ABSENT,
    index=0,
    revision=0,
    present=False,
)
fails("absent and present cannot both hold", 1, Present(), Absent())

# revision
holds("revision holds at this very epoch and revision", AtRevision(EPOCH, 7))
fails("revision fails one behind", 0, AtRevision(EPOCH, 6))
fails("revision fails one ahead", 0, AtRevision(EPOCH, 8))
fails("revision fails in another epoch", 0, AtRevision(EPOCH + 1, 7))
fails("revision fails in the epoch before", 0, AtRevision(EPOCH - 1, 7))
fails("revision compares whole numbers of 64 bits", 0, AtRevision(2**64 - 1, 2**64 - 1))
holds("revision 0 holds anywhere in this epoch", AtRevision(EPOCH, 0))
fails("revision 0 fails in another epoch", 0, AtRevision(EPOCH + 1, 0))
add("revision fails for nothing", None, commit(AtRevision(0, 0)), status=Status.CONFLICT, index=0)
add(
    "revision 0 fails for a tombstone of that epoch",
    gone(),
    commit(AtRevision(EPOCH, 0)),
    status=Status.CONFLICT,
    index=0,
)

# not remembered
holds("not remembered holds for a new value", NotRemembered("seen", encode("m3")))
fails("not remembered fails for a value in the set", 0, NotRemembered("seen", encode("m1")))
fails("not remembered fails for the newest value", 0, NotRemembered("seen", encode("m2")))
holds("not remembered holds in a set that does not exist", NotRemembered("other", encode("m1")))
holds("not remembered holds for the beginning of a value", NotRemembered("seen", encode("m1")[:2]))
command = commit(NotRemembered("seen", encode("m1")))
add("not remembered holds for nothing", None, command, after=born(command, state={"n": 6}))

# unchanged
holds("unchanged holds for the same bytes", Unchanged(STATE, "n", digest(v(5))))
fails("unchanged fails for other bytes", 0, Unchanged(STATE, "n", digest(v(4))))
fails("unchanged fails for an equal value of another kind", 0, Unchanged(STATE, "n", digest(v(5.0))))
holds("unchanged holds for a field still absent", Unchanged(STATE, "no", digest(None)))
fails("unchanged fails for a field that came", 0, Unchanged(STATE, "n", digest(None)))
fails("unchanged fails for a field that went", 0, Unchanged(STATE, "no", digest(v(5))))
fails("unchanged looks into its own bag", 0, Unchanged(PROPS, "n", digest(v(5))))
holds("unchanged works on props", Unchanged(PROPS, "locale", digest(v("th-TH"))))
holds("unchanged works on meta", Unchanged(META, "seen", digest(SEEN["seen"])))
command = commit(Unchanged(STATE, "no", b""))
add("unchanged and absent holds for nothing", None, command, after=born(command, state={"n": 6}))
add("unchanged fails for nothing", None, commit(Unchanged(STATE, "n", digest(v(5)))), status=Status.CONFLICT, index=0)
holds(
    "guards are checked before the operations change what they ask about",
    Unchanged(STATE, "n", digest(v(5))),
    AtRevision(EPOCH, 7),
)

# several
holds(
    "all guards hold", Present(), AtRevision(EPOCH, 7), NotRemembered("seen", b"x"), Unchanged(STATE, "n", digest(v(5)))
)
fails(
    "the last of four fails",
    3,
    Present(),
    AtRevision(EPOCH, 7),
    NotRemembered("seen", b"x"),
    Unchanged(STATE, "n", b""),
)
fails("the first that fails is named", 1, Present(), AtRevision(EPOCH, 8), NotRemembered("seen", encode("m1")))

# tokens
H = replace(R, lease=lease(), last_token=41)
command = commit(token=41)
add("a commit under the lease", H, command, after=written(H, command, state=DONE))
command = commit(token=41, release=True)
add(
    "a commit that gives the lease back remembers its request",
    H,
    command,
    after=given_back(written(H, command, state=DONE, lease=None)),
)
add("a commit under an older token", H, commit(token=40), status=Status.LEASE_LOST)
add("a commit under a token never granted", H, commit(token=42), status=Status.LEASE_LOST)
add("a commit under a token when nobody holds the lease", R, commit(token=41), status=Status.LEASE_LOST)
add("a commit under a token to nothing", None, commit(token=41), status=Status.LEASE_LOST)
add("the token is checked before the guards", H, commit(Absent(), token=40), status=Status.LEASE_LOST)
add(
    "a guard that fails under the lease leaves the lease",
    H,
    commit(Absent(), token=41, release=True),
    status=Status.CONFLICT,
    index=0,
)
command = commit()
add("a verb does not wait for the turn", H, command, after=written(H, command, state=DONE))
command = commit(operations=(Remove(STATE, "no"),), token=41, release=True)
add(
    "an ineffective commit gives the lease back and is remembered",
    H,
    command,
    after=given_back(remembering(replace(H, lease=None), command, results=(False,))),
    results=(False,),
)

# deadline
add("a commit at its deadline is too late", R, Commit(OP, NOW, PUT), status=Status.TOO_LATE)
add("a commit to nothing at its deadline", None, Commit(OP, NOW, PUT), status=Status.TOO_LATE)
command = Commit(OP, NOW + 1, PUT)
add("a commit a millisecond before its deadline", R, command, after=written(R, command, state=DONE))
command = Commit(OP, NOW + 300_000, PUT)
add("a commit with a deadline at the horizon", R, command, after=written(R, command, state=DONE))
add("a commit with a deadline beyond the horizon", R, Commit(OP, NOW + 300_001, PUT), status=Status.MALFORMED)
add("a commit with the last deadline there is", R, Commit(OP, 2**63 - 1, PUT), status=Status.MALFORMED)
add(
    "too late is said though the id is in the ring",
    replace(R, ring=(ring(1, NOW),)),
    Commit(OP, NOW, PUT),
    status=Status.TOO_LATE,
)
