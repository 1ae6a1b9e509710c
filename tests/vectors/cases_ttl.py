"""What a commit does to the time to live."""

from dataclasses import replace
from typing import Any

from table import EPOCH, ID, NOW, SOON, TOUCHED, Table, born, life, live, op, ring, v, written

from gridsession._commands import Commit, Remove, Set, TtlMode, Want
from gridsession._record import STATE, Record

TABLE = Table()
RESTART, KEEP, SET = TtlMode
LONGEST = 3_155_760_000_000
R = live({"n": 5})
LASTING = replace(R, ttl=None)
CAPPED = replace(R, max_lifetime=100_000)
PUT = (Set(STATE, "n", v(6)),)


def case(
    name: str, stored: Record, mode: TtlMode, asked: int, expires_at: int | None, now: int = NOW, **after: Any
) -> None:
    command = Commit(op(1), now + 10_000, PUT, ttl_mode=mode, ttl=asked, want=Want.REVISION)
    then = written(stored, command, now, state={"n": 6}, **after)
    TABLE.add(name, stored, command, now=now, after=then, life=life(then, expires_at))


case("restart is counted from now", R, RESTART, 0, NOW + 60_000)
case("restart ignores a ttl that comes along", R, RESTART, 5, NOW + 60_000)
case("restart of a session that never expires", LASTING, RESTART, 0, None)
case("restart cannot pass max_lifetime", CAPPED, RESTART, 0, NOW + 60_000)
case("restart close to max_lifetime", replace(R, max_lifetime=40_001), RESTART, 0, NOW + 1)
case("restart in the last millisecond", R, RESTART, 0, NOW + 109_999, now=NOW + 49_999)
case("keep leaves the end where it was", R, KEEP, 0, NOW + 50_000, touched=TOUCHED)
case("keep ignores a ttl that comes along", R, KEEP, 5, NOW + 50_000, touched=TOUCHED)
case("keep of a session that never expires", LASTING, KEEP, 0, None, touched=TOUCHED)
case("keep in the last millisecond", R, KEEP, 0, NOW + 50_000, now=NOW + 49_999, touched=TOUCHED)
case("set a shorter ttl", R, SET, 1_000, NOW + 1_000, ttl=1_000)
case("set a longer ttl", R, SET, 90_000, NOW + 90_000, ttl=90_000)
case("set the shortest ttl", R, SET, 1, NOW + 1, ttl=1)
case("set the longest ttl", R, SET, LONGEST, NOW + LONGEST, ttl=LONGEST)
case("set never", R, SET, 0, None, ttl=None)
case("set a ttl on a session that never expired", LASTING, SET, 1_000, NOW + 1_000, ttl=1_000)
case("set a ttl beyond max_lifetime ends there", CAPPED, SET, 90_000, NOW + 60_000, ttl=90_000)
case("set never under max_lifetime ends there", CAPPED, SET, 0, NOW + 60_000, ttl=None)


def birth(
    name: str, expires_at: int | None, lives: int | None, max_lifetime: int | None = None, **command: Any
) -> None:
    asked = Commit(op(1), SOON, PUT, want=Want.REVISION, **command)
    then = born(asked, state={"n": 6}, ttl=lives, max_lifetime=max_lifetime)
    TABLE.add(name, None, asked, after=then, life=life(then, expires_at))


birth("a new session under restart takes the ttl for creation", NOW + 7_000, 7_000, created_ttl=7_000, ttl=3_000)
birth(
    "a new session under keep takes the ttl for creation",
    NOW + 7_000,
    7_000,
    created_ttl=7_000,
    ttl=3_000,
    ttl_mode=KEEP,
)
birth(
    "a new session under set takes the ttl that is set", NOW + 3_000, 3_000, created_ttl=7_000, ttl=3_000, ttl_mode=SET
)
birth("a new session set to never ignores the ttl for creation", None, None, created_ttl=7_000, ttl=0, ttl_mode=SET)
birth("a new session without any ttl never expires", None, None)
birth("a new session with max_lifetime alone", NOW + 9_000, None, 9_000, created_max_lifetime=9_000)
birth(
    "a new session with max_lifetime below its ttl",
    NOW + 9_000,
    60_000,
    9_000,
    created_ttl=60_000,
    created_max_lifetime=9_000,
)
birth(
    "a new session with the longest times",
    NOW + LONGEST,
    LONGEST,
    LONGEST,
    created_ttl=LONGEST,
    created_max_lifetime=LONGEST,
)

command = Commit(op(1), SOON, ttl_mode=SET, ttl=1_000)
TABLE.add(
    "a commit of nothing but a ttl sets it and counts as a commit", R, command, after=written(R, command, ttl=1_000)
)
command = Commit(op(1), SOON)
TABLE.add("a commit of nothing at all restarts the ttl", R, command, after=written(R, command))
TABLE.add(
    "an ineffective commit sets no ttl",
    R,
    Commit(op(1), SOON, (Remove(STATE, "no"),), ttl_mode=SET, ttl=1_000),
    results=(False,),
)

# max_lifetime is counted from creation, whatever was touched since
tired = Record(ID, EPOCH, True, 9, NOW - 99_999, NOW, 60_000, 100_000)
command = Commit(op(1), SOON, want=Want.REVISION)
TABLE.add(
    "the last millisecond of max_lifetime", tired, command, after=written(tired, command), life=life(tired, NOW + 1)
)
ended = replace(tired, created=NOW - 100_000)
command = Commit(op(1), SOON)
TABLE.add(
    "max_lifetime over: the commit makes a new session", ended, command, after=born(command, out_of=Record(ID, EPOCH))
)
held = replace(ended, ring=(ring(9),))
command = Commit(op(1), SOON, PUT, created_ttl=60_000, created_max_lifetime=100_000)
TABLE.add(
    "a session made anew has its own max_lifetime",
    held,
    command,
    after=born(command, out_of=Record(ID, EPOCH, ring=(ring(9),)), state={"n": 6}, ttl=60_000, max_lifetime=100_000),
)
