"""Commit with clear: which bags are emptied, and what is retained."""

from typing import Any

from table import EMPTY, NOW, SOON, Table, life, live, op, v, written

from gridsession._codec import encode
from gridsession._commands import Commit, Increment, Remove, Set, Want
from gridsession._record import META, PROPS, RECENT, STATE, join_elements
from gridsession._reply import Status

TABLE = Table()
META_FIELDS = {"seen": join_elements(RECENT, [encode("m1")])}
R = live({"step": "address", "n": 5, "locale": "en"}, {"locale": "th-TH", "tz": "Asia/Bangkok"}, META_FIELDS)
BOTH = 3


def clears(
    name: str,
    clear: int,
    retain: tuple[tuple[int, str], ...] = (),
    operations: Any = (),
    results: Any = (),
    **after: Any,
) -> None:
    command = Commit(op(1), SOON, operations, clear=clear, retain=retain)
    TABLE.add(name, R, command, after=written(R, command, results=results, **after), results=results)


def idle(name: str, stored: Any, clear: int, retain: tuple[tuple[int, str], ...] = ()) -> None:
    TABLE.add(name, stored, Commit(op(1), SOON, clear=clear, retain=retain))


clears("clear the state leaves props and meta", 1, state={})
clears("clear the props leaves the state", 2, props={})
clears("clear both leaves meta", BOTH, state={}, props={})
clears("clear retains a name of the state", 1, ((STATE, "locale"),), state={"locale": "en"})
clears(
    "clear retains in the bag named, not in the other", BOTH, ((PROPS, "locale"),), state={}, props={"locale": "th-TH"}
)
clears(
    "clear retains names of both bags",
    BOTH,
    ((STATE, "n"), (PROPS, "tz")),
    state={"n": 5},
    props={"tz": "Asia/Bangkok"},
)
clears(
    "clear keeps the order of what it retains",
    1,
    ((STATE, "locale"), (STATE, "step")),
    state={"step": "address", "locale": "en"},
)
clears("clear with a retained name that is not there", 1, ((STATE, "no"),), state={})
clears("clear with a name retained twice", 1, ((STATE, "n"), (STATE, "n")), state={"n": 5})
clears("retained names of a bag that is not cleared mean nothing", 1, ((PROPS, "tz"),), state={})
clears("retained names of meta mean nothing", 1, ((META, "seen"),), state={})
clears(
    "clear comes before the operations",
    1,
    (),
    (Set(STATE, "n", v(1)), Increment(STATE, "k", 2)),
    (None, v(2)),
    state={"n": 1, "k": 2},
)
clears("a cleared field is gone for the operations", 1, (), (Remove(STATE, "n"),), (False,), state={})
clears(
    "a retained field is there for the operations",
    1,
    ((STATE, "n"),),
    (Increment(STATE, "n", 1),),
    (v(6),),
    state={"n": 6},
)
clears("a cleared counter starts anew", 1, (), (Increment(STATE, "n", 1),), (v(1),), state={"n": 1})
clears("no clear with retained names writes as a commit without operations", 0, ((STATE, "n"),))
idle("clear of an empty bag is no write", live(props={"p": 1}), 1)
idle("clear of empty bags is no write", live(meta=META_FIELDS), BOTH)
idle("clear that retains all is no write", R, 1, ((STATE, "step"), (STATE, "n"), (STATE, "locale")))
idle("clear of nothing creates nothing", None, BOTH)
command = Commit(op(1), SOON, (Set(STATE, "a", v(1)),), clear=1)
TABLE.add("clear and set", R, command, after=written(R, command, state={"a": 1}))
command = Commit(op(1), SOON, (Set(STATE, "n", v(9)), Set(STATE, "a", v(1))), clear=BOTH, want=Want.CHANGED)
after = written(R, command, state={"n": 9, "a": 1}, props={})
TABLE.add(
    "what was cleared and not set again is changed but not shown",
    R,
    command,
    after=after,
    life=life(after, NOW + 60_000),
    bags=({"n": v(9), "a": v(1)}, EMPTY, None),
)
TABLE.add(
    "a clear is undone when an operation fails",
    R,
    Commit(op(1), SOON, (Set(STATE, "a", v("x")), Increment(STATE, "a", 1)), clear=BOTH),
    status=Status.WRONG_TYPE,
    index=1,
)
