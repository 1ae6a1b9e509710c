"""Limits, each exactly at and one over: a typed reply, and nothing changed."""

from dataclasses import replace
from typing import Any

from table import EPOCH, ID, NOW, SOON, Table, born, lease, live, op, remembering, ring, v, waiter, written

from gridsession._codec import encode
from gridsession._commands import (
    Absent,
    Allow,
    Append,
    Commit,
    CompareAndSet,
    Delete,
    Field,
    Increment,
    Load,
    Operation,
    Pop,
    Present,
    Release,
    Remember,
    Remove,
    Renew,
    Set,
    SetDefault,
    Take,
    Unchanged,
    Want,
)
from gridsession._record import META, PROPS, STATE, Record
from gridsession._reply import Result, Status

TABLE = Table()
add = TABLE.add
TOO_LARGE = Status.TOO_LARGE


def commit(*operations: Operation, **more: Any) -> Commit:
    return Commit(op(1), SOON, operations, **more)


# names: 128 bytes of UTF-8
LONGEST = {"ascii": "n" * 128, "Thai": "ก" * 42 + "ab", "emoji": "😀" * 32, "decomposed": "e\u0301" * 42 + "xx"}
OVER = {"ascii": "n" * 129, "Thai": "ก" * 43, "emoji": "😀" * 32 + "a", "decomposed": "e\u0301" * 43}
for script, name in LONGEST.items():
    assert len(name.encode()) == 128
    command = commit(Set(STATE, name, v(1)))
    add(f"a name of 128 bytes, {script}", None, command, after=born(command, state={name: 1}))
for script, name in OVER.items():
    assert len(name.encode()) == 129
    add(f"a name of 129 bytes, {script}", None, commit(Set(STATE, name, v(1))), status=TOO_LARGE, index=0)
long = "n" * 129
for what, operation in {
    "increment": Increment(STATE, long, 1),
    "append": Append(PROPS, long, (encode(1),)),
    "set_default": SetDefault(STATE, long, v(1)),
    "compare_and_set": CompareAndSet(STATE, long, None, v(1)),
    "remember": Remember(long, b"1", 1),
    "allow": Allow(long, 1),
}.items():
    add(f"{what} of a name too long", live(), commit(Set(STATE, "a", v(1)), operation), status=TOO_LARGE, index=1)
found: dict[str, tuple[Operation, tuple[Result, ...]]] = {
    "remove": (Remove(STATE, long), (False,)),
    "take": (Take(STATE, long), ()),
    "pop": (Pop(STATE, long), ()),
    "append of nothing": (Append(STATE, long, ()), (v(0),)),
    "compare_and_set to nothing": (CompareAndSet(STATE, long, None, None), (True,)),
}
for what, (operation, results) in found.items():
    add(f"{what} of a name too long finds nothing", live(), commit(operation), results=results)
longest_of_all = "n" * 255
add(
    "a guard on a name of 255 bytes",
    live(),
    commit(Remove(STATE, "no"), guards=(Unchanged(STATE, longest_of_all, b""),)),
    results=(False,),
)
old = live({long: 1})
command = commit(Remove(STATE, long))
add(
    "a name that was allowed once can be removed",
    old,
    command,
    after=written(old, command, state={}, results=(True,)),
    results=(True,),
)
add("and not be set again", old, commit(Set(STATE, long, v(2))), status=TOO_LARGE, index=0)
command = commit(Set(STATE, "ab", v(1)))
add(
    "a limit of its own for names, at it", None, command, after=born(command, state={"ab": 1}), limits={"name_bytes": 2}
)
add("a limit of its own for names, over it", None, command, status=TOO_LARGE, index=0, limits={"name_bytes": 1})

# fields: 256 in all bags together
MOST = live({f"s{i}": i for i in range(200)}, {f"p{i}": i for i in range(50)}, {f"m{i}": i for i in range(5)})
for bag, name in ((STATE, "state"), (PROPS, "props"), (META, "meta")):
    command = commit(Set(bag, "last", v(1)))
    then = [dict(fields) for fields in MOST.bags]
    then[bag]["last"] = v(1)
    after = written(MOST, command, state=then[0], props=then[1], meta=then[2])
    add(f"field 256, in {name}", MOST, command, after=after)
    add(f"field 257, in {name}", after, Commit(op(2), SOON, (Set(bag, "more", v(1)),)), status=TOO_LARGE)
full = live({"a": 1, "b": 2}, {"c": 3})
three = {"fields": 3}
command = commit(Set(STATE, "a", v(9)))
add(
    "a session full of fields can change them",
    full,
    command,
    after=written(full, command, state={"a": 9, "b": 2}),
    limits=three,
)
command = commit(Remove(STATE, "a"), Set(STATE, "d", v(9)))
add(
    "one field out, one in",
    full,
    command,
    after=written(full, command, state={"b": 2, "d": 9}, results=(True, None)),
    results=(True, None),
    limits=three,
)
command = commit(Set(STATE, "d", v(9)), Remove(STATE, "a"))
add(
    "one field in, one out: only the end counts",
    full,
    command,
    after=written(full, command, state={"b": 2, "d": 9}, results=(None, True)),
    results=(None, True),
    limits=three,
)
command = commit(Set(STATE, "d", v(9)), clear=1)
add("a clear makes room", full, command, after=written(full, command, state={"d": 9}), limits=three)
add("a remembered message counts as a field", full, commit(Remember("m", b"1", 1)), status=TOO_LARGE, limits=three)
over = live({"a": 1, "b": 2, "c": 3, "d": 4})
add(
    "over a limit that was lowered nothing can be written",
    over,
    commit(Set(STATE, "a", v(2))),
    status=TOO_LARGE,
    limits=three,
)
command = commit(Remove(STATE, "a"))
add(
    "but fields can be removed down to it",
    over,
    command,
    after=written(over, command, state={"b": 2, "c": 3, "d": 4}, results=(True,)),
    results=(True,),
    limits=three,
)
command = commit(Remove(STATE, "no"))
add("and an ineffective commit is fine", over, command, results=(False,), limits=three)


# the record: ring and queue are not counted
def size(record: Record) -> int:
    return len(replace(record, ring=(), queue=()).encode())


for what, stored, asked in (
    ("set", live({"a": "x"}), Set(STATE, "b", v("y" * 100))),
    ("set in meta", live({"a": "x"}), Set(META, "b", v(b"y" * 100))),
    ("set of a longer value", live({"a": "x"}), Set(STATE, "a", v("y" * 100))),
):
    command = commit(asked)
    bag = ("state", "props", "meta")[asked.bag]
    after = written(stored, command, **{bag: {**stored.bags[asked.bag], asked.name: asked.raw}})
    add(
        f"{what}: a record of just the size allowed", stored, command, after=after, limits={"record_bytes": size(after)}
    )
    add(f"{what}: a byte too many", stored, command, status=TOO_LARGE, limits={"record_bytes": size(after) - 1})
command = commit(Set(STATE, "b", v("y" * 100)))
after = born(command, state={"b": "y" * 100})
add("a new record of just the size allowed", None, command, after=after, limits={"record_bytes": size(after)})
add("a new record with a byte too many", None, command, status=TOO_LARGE, limits={"record_bytes": size(after) - 1})
stored = live({"l": ["a"]})
command = commit(Append(STATE, "l", (encode("bc"),)))
after = written(stored, command, state={"l": ["a", "bc"]}, results=(v(2),))
add(
    "append: a record of just the size allowed",
    stored,
    command,
    after=after,
    results=(v(2),),
    limits={"record_bytes": size(after)},
)
add("append: a byte too many", stored, command, status=TOO_LARGE, limits={"record_bytes": size(after) - 1})
busy = live(
    {"a": "x" * 50},
    ring=tuple(ring(i) for i in range(10, 30)),
    queue=(waiter("b"), waiter("c")),
    lease=lease(),
    last_token=41,
)
command = commit(Set(STATE, "a", v("y" * 50)))
add(
    "what others left in ring and queue does not count",
    busy,
    command,
    after=written(busy, command, state={"a": "y" * 50}),
    limits={"record_bytes": size(busy)},
)
command = commit(Take(STATE, "a"))
taken = v("x" * 50)
room = live({"a": "x" * 50})
add(
    "a field that fills the record can be taken",
    room,
    command,
    after=written(room, command, state={}, results=(taken,)),
    results=(taken,),
    limits={"record_bytes": size(room)},
)
command = commit(SetDefault(STATE, "a", taken))
after = born(command, state={"a": "x" * 50}, results=(taken,))
add(
    "a field that fills the record can be set by default",
    None,
    command,
    after=after,
    results=(taken,),
    limits={"record_bytes": size(after)},
)
shrunk = live({"a": "x" * 50, "b": 1})
command = commit(Remove(STATE, "b"))
add(
    "a record over a lowered limit can shrink to it",
    shrunk,
    command,
    after=written(shrunk, command, state={"a": "x" * 50}, results=(True,)),
    results=(True,),
    limits={"record_bytes": size(live({"a": "x" * 50}))},
)
add("but not stay over it", shrunk, command, status=TOO_LARGE, limits={"record_bytes": size(live({"a": "x" * 50})) - 1})
command = Delete(op(1), SOON)
add(
    "a record over a lowered limit can be deleted",
    shrunk,
    command,
    after=remembering(Record(ID, EPOCH), command, revision=7),
    revision=7,
    limits={"record_bytes": 1},
)
add("and be read", shrunk, Load(Want.NOTHING), limits={"record_bytes": 1, "fields": 0, "name_bytes": 0})
retry = commit(Set(STATE, "b", v("y" * 100)), retry=True)
add(
    "a retry over the limit is remembered",
    room,
    retry,
    after=remembering(room, retry, TOO_LARGE),
    status=TOO_LARGE,
    limits={"record_bytes": size(room)},
)

# results in the ring together may be as large as a record
told = ring(9, results=(v("x" * 30),))
stored = live({"a": "y" * 100}, ring=(told,))
command = commit(Take(STATE, "a"))
taken = v("y" * 100)
after = written(stored, command, state={}, results=(taken,))
kept = sum(len(entry.results) for entry in after.ring)
add(
    "results remembered, of just the size allowed",
    stored,
    command,
    after=after,
    results=(taken,),
    limits={"record_bytes": kept},
)
add("results remembered, a byte too many", stored, command, status=Status.BUSY, limits={"record_bytes": kept - 1})

# results of one commit together
each = {"a": "x" * 50, "b": "y" * 50}
stored = live(each)
taken = (v("x" * 50), v("y" * 50))
command = commit(Take(STATE, "a"), Take(STATE, "b"))
after = written(stored, command, state={}, results=taken)
told_size = sum(len(entry.results) for entry in after.ring)
add(
    "results of one commit of just the size allowed",
    stored,
    command,
    after=after,
    results=taken,
    limits={"record_bytes": told_size},
)
add(
    "results of one commit a byte over what a record may take",
    stored,
    command,
    status=TOO_LARGE,
    index=1,
    limits={"record_bytes": len(taken[0]) * 2 - 1},
)
thrice = commit(*[SetDefault(STATE, "a", v(0))] * 3)
answered = (v("x" * 50),) * 3
add(
    "an ineffective commit that answers as much as allowed",
    stored,
    thrice,
    results=answered,
    limits={"record_bytes": len(answered[0]) * 3},
)
add(
    "an ineffective commit that answers more",
    stored,
    thrice,
    status=TOO_LARGE,
    index=2,
    limits={"record_bytes": len(answered[0]) * 3 - 1},
)

# parts of one command
two = {"operations": 2}
no = Remove(STATE, "no")
R = live({"n": 5})
add("as many operations as allowed", R, commit(no, no), results=(False, False), limits=two)
add("one operation too many", R, commit(no, no, no), status=TOO_LARGE, limits=two)
add("guards count with the operations", R, commit(no, guards=(Present(), Present())), status=TOO_LARGE, limits=two)
add(
    "retained names count too",
    R,
    commit(no, guards=(Present(),), clear=2, retain=((PROPS, "a"),)),
    status=TOO_LARGE,
    limits=two,
)
add("a guard, an operation and no more", R, commit(no, guards=(Present(),)), results=(False,), limits=two)
add(
    "as many guards of a delete as allowed",
    None,
    Delete(op(1), SOON, (Absent(), Absent())),
    status=Status.ABSENT,
    limits=two,
)
add(
    "one guard of a delete too many",
    None,
    Delete(op(1), SOON, (Absent(), Absent(), Absent())),
    status=TOO_LARGE,
    limits=two,
)
add(
    "as many names as allowed",
    R,
    Load(Want.NOTHING, names=(Field(STATE, "n"), Field(PROPS, "p"))),
    bags=({"n": v(5)}, {}, None),
    limits=two,
)
add("one name too many", R, Load(Want.NOTHING, names=(Field(STATE, "n"),) * 3), status=TOO_LARGE, limits=two)
add(
    "one name too many of nothing",
    None,
    Load(Want.NOTHING, names=(Field(STATE, "n"),) * 3),
    status=TOO_LARGE,
    limits=two,
)
add(
    "a resend is answered whatever its length",
    replace(R, ring=(ring(1),)),
    commit(no, no, no),
    duplicate=True,
    limits=two,
)
retried = commit(no, no, no, retry=True)
add(
    "too many operations at a retry are remembered",
    R,
    retried,
    after=remembering(R, retried, TOO_LARGE),
    status=TOO_LARGE,
    limits=two,
)
command = commit(*[Set(STATE, "a", v(1))] * 1_024)
add("1,024 operations", None, command, after=born(command, state={"a": 1}))
add("1,025 operations", None, commit(*[Set(STATE, "a", v(1))] * 1_025), status=TOO_LARGE)

# ids: 2,048 bytes
for name, identity, status in (
    ("an id of 2,048 bytes", "line:" + "x" * 2_043, Status.ABSENT),
    ("an id of 2,049 bytes", "line:" + "x" * 2_044, TOO_LARGE),
    ("an id of 2,048 bytes in Thai", "line:" + "ก" * 681, Status.ABSENT),
    ("an id of 2,051 bytes in Thai", "line:" + "ก" * 682, TOO_LARGE),
):
    add(name, None, Load(), session_id=identity, status=status)
add(
    "an id too long for every command: commit",
    None,
    commit(),
    session_id="line:xy",
    status=TOO_LARGE,
    limits={"id_bytes": 6},
)
add(
    "an id too long for every command: delete",
    None,
    Delete(op(1), SOON),
    session_id="line:xy",
    status=TOO_LARGE,
    limits={"id_bytes": 6},
)
add(
    "an id too long for every command: renew",
    None,
    Renew(1, 1, SOON),
    session_id="line:xy",
    status=TOO_LARGE,
    limits={"id_bytes": 6},
)
add(
    "an id too long for every command: release",
    None,
    Release(SOON, 1),
    session_id="line:xy",
    status=TOO_LARGE,
    limits={"id_bytes": 6},
)
add(
    "an id too long is said before too late",
    None,
    Commit(op(1), NOW),
    session_id="line:xy",
    status=TOO_LARGE,
    limits={"id_bytes": 6},
)
command = commit()
add(
    "an id of just the length allowed",
    None,
    command,
    session_id="line:xy",
    limits={"id_bytes": 7},
    after=replace(born(command), id="line:xy"),
)

# the horizon of deadlines
near = {"horizon": 1_000}
for what, made in {
    "load": lambda at: Load(not_after=at),
    "commit": lambda at: Commit(op(1), at, (Remove(STATE, "no"),)),
    "release": lambda at: Release(at, 5),
    "renew": lambda at: Renew(5, 1, at),
    "delete": lambda at: Delete(op(1), at),
}.items():
    status = {
        "load": Status.ABSENT,
        "commit": Status.OK,
        "release": Status.LEASE_LOST,
        "renew": Status.LEASE_LOST,
        "delete": Status.ABSENT,
    }[what]
    add(
        f"a {what} at a horizon of its own",
        None,
        made(NOW + 1_000),
        status=status,
        limits=near,
        **({"results": (False,)} if what == "commit" else {}),
    )
    add(f"a {what} beyond it", None, made(NOW + 1_001), status=Status.MALFORMED, limits=near)
