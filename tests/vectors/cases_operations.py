"""Operations: set, remove, increment, append, pop, take, set_default, compare_and_set, remember, allow."""

import math
from collections.abc import Mapping
from typing import Any

from table import NOW, SOON, Table, born, live, op, v, written

from gridsession._codec import encode
from gridsession._commands import (
    Allow,
    Append,
    Commit,
    CompareAndSet,
    Increment,
    Operation,
    Pop,
    Remember,
    Remove,
    Set,
    SetDefault,
    Take,
)
from gridsession._record import FLOAT, GATE, META, PROPS, RECENT, STATE, join_elements
from gridsession._reply import Result, Status

TABLE = Table()
ABC = [encode(letter) for letter in "abc"]
TINY = 5e-324
HUGE = 1.7976931348623157e308
TOP, BOTTOM = 2**63 - 1, -(2**63)


def floats(value: float) -> bytes:
    return bytes((FLOAT,)) + v(value)[1:]


def does(
    name: str,
    before: Mapping[str, Any],
    operation: Operation,
    after: Mapping[str, Any],
    result: Result = None,
    now: int = NOW,
) -> None:
    """One effective operation on a session whose bag (the operation's) holds `before`."""
    bag = ("state", "props", "meta")[operation.bag]
    stored = live(**{bag: before})
    command = Commit(op(1), SOON, (operation,))
    results = () if result is None else (result,)
    TABLE.add(name, stored, command, after=written(stored, command, results=results, **{bag: after}), results=results)


def idle(name: str, before: Mapping[str, Any], operation: Operation, result: Result = None) -> None:
    """One operation that finds nothing to do: no revision, no ttl, nothing remembered."""
    stored = live(**{("state", "props", "meta")[operation.bag]: before})
    results = () if result is None else (result,)
    TABLE.add(name, stored, Commit(op(1), SOON, (operation,)), results=results)


def refused(name: str, before: Mapping[str, Any], operation: Operation, status: Status = Status.WRONG_TYPE) -> None:
    stored = live(**{("state", "props", "meta")[operation.bag]: before})
    TABLE.add(name, stored, Commit(op(1), SOON, (operation,)), status=status, index=0)


def gate(at: int) -> bytes:
    return bytes((GATE,)) + at.to_bytes(8, "big", signed=True)


def recent(*values: bytes) -> bytes:
    return join_elements(RECENT, list(values))


# set
for name, value in {
    "a text": "x",
    "an empty text": "",
    "none": None,
    "true": True,
    "bytes": b"\x00\xff",
    "an int": 1,
    "the greatest int": TOP,
    "the least int": BOTTOM,
    "an int beyond 64 bits": 2**63,
    "a float": 1.5,
    "minus zero": -0.0,
    "infinity": math.inf,
    "minus infinity": -math.inf,
    "an empty list": [],
    "a list": [1, "b", [2.0, None]],
    "a list of empty texts": ["", ""],
    "an empty map": {},
    "a map": {"a": {"b": [1, 2]}, 3: None},
    "a tuple": (1, (2,)),
    "emoji": "👩‍👩‍👧 🇹🇭",
}.items():
    does(f"set {name}", {}, Set(STATE, "f", v(value)), {"f": v(value)})
does(
    "set not a number, bit for bit",
    {},
    Set(STATE, "f", b"\x02\x7f\xf0\x00\x00\x00\x00\x00\x01"),
    {"f": b"\x02\x7f\xf0\x00\x00\x00\x00\x00\x01"},
)
does(
    "set replaces in place and keeps the order of fields",
    {"a": 1, "b": 2, "c": 3},
    Set(STATE, "b", v("new")),
    {"a": 1, "b": "new", "c": 3},
)
does("set of the same value still writes", {"a": 1}, Set(STATE, "a", v(1)), {"a": 1})
does("set changes the kind", {"a": [1]}, Set(STATE, "a", v(1)), {"a": 1})
does("set in props", {"locale": "en"}, Set(PROPS, "locale", v("th")), {"locale": "th"})
does("set in meta", {}, Set(META, "who", v("U1")), {"who": "U1"})
does("set stores bytes that no codec knows, for they are opaque", {}, Set(STATE, "f", b"\x00\xc1"), {"f": b"\x00\xc1"})

# remove, take
does("remove says that the field was there", {"a": 1, "b": 2}, Remove(STATE, "a"), {"b": 2}, True)
does("remove of the last field leaves an empty bag", {"a": 1}, Remove(PROPS, "a"), {}, True)
idle("remove says that the field was not there", {"a": 1}, Remove(STATE, "b"), False)
idle("remove is exact about composed letters", {"é": 1}, Remove(STATE, "e\u0301"), False)
does("take returns what it removes", {"a": "x", "b": 2}, Take(STATE, "a"), {"b": 2}, v("x"))
does("take returns a list whole", {"a": [1, 2]}, Take(STATE, "a"), {}, v([1, 2]))
idle("take of nothing has no result", {"b": 2}, Take(STATE, "a"))

# increment
for before, amount, total in (
    (5, 1, 6),
    (5, -6, -1),
    (5, 0, 5),
    (TOP - 1, 1, TOP),
    (BOTTOM + 1, -1, BOTTOM),
    (TOP, BOTTOM, -1),
    (0, TOP, TOP),
    (0, BOTTOM, BOTTOM),
    (5, 0.5, 5.5),
    (5, 1.0, 6.0),
    (5.5, 1, 6.5),
    (5.5, -5.5, 0.0),
    (0.1, 0.2, 0.1 + 0.2),
    (-0.0, 0, 0.0),
    (-0.0, -0.0, -0.0),
    (0.0, -0.0, 0.0),
    (0, -0.0, 0.0),
    (TINY, TINY, 1e-323),
    (1.0, TINY, 1.0),
    (HUGE, 1, HUGE),
    (HUGE, -HUGE, 0.0),
    (2**53, 1.0, 2.0**53),
    (2**53 + 1, 0.0, 2.0**53),
    (2**53 + 3, 0.0, 2.0**53 + 4),
    (TOP, 0.0, 2.0**63),
    (BOTTOM, 0.0, -(2.0**63)),
    (0.0, TOP, 2.0**63),
    (1.0, 2**53 + 1, 2.0**53),
    (1e16, 1, 1e16),
    (1e16, 3, 1.0000000000000004e16),
):
    does(f"increment {before!r} by {amount!r}", {"n": before}, Increment(STATE, "n", amount), {"n": total}, v(total))
for amount in (1, 0, -1, TOP, BOTTOM, 0.5, 0.0, HUGE, TINY):
    does(f"increment of nothing by {amount!r}", {}, Increment(STATE, "n", amount), {"n": amount}, v(amount))
does("increment of nothing by -0.0 stands as given", {}, Increment(STATE, "n", -0.0), {"n": floats(-0.0)}, floats(-0.0))
does("increment in props", {"n": 1}, Increment(PROPS, "n", 1), {"n": 2}, v(2))
does("increment keeps the place of the field", {"n": 1, "z": 0}, Increment(STATE, "n", 1), {"n": 2, "z": 0}, v(2))
for before, amount in (
    (TOP, 1),
    (BOTTOM, -1),
    (TOP, TOP),
    (BOTTOM, BOTTOM),
    (1, TOP),
    (HUGE, HUGE),
    (-HUGE, -HUGE),
    (1, math.inf),
    (1.0, -math.inf),
    (1, math.nan),
    (1.0, math.nan),
    (math.inf, 1),
    (math.inf, -math.inf),
    (-math.inf, 0.0),
    (math.nan, 1),
    ("5", 1),
    (None, 1),
    (True, 1),
    ([1], 1),
    (2**63, 1),
    (b"\x00", 1),
):
    refused(f"increment {before!r} by {amount!r} is refused", {"n": v(before)}, Increment(STATE, "n", amount))
for amount in (math.inf, -math.inf, math.nan):
    refused(f"increment of nothing by {amount!r} is refused", {}, Increment(STATE, "n", amount))
refused("increment of a gate is refused", {"n": gate(NOW)}, Increment(META, "n", 1))
refused("increment of a recent set is refused", {"n": recent(b"a")}, Increment(META, "n", 1))

# append
three = v(3)
does("append to nothing makes a list", {}, Append(STATE, "l", tuple(ABC)), {"l": list("abc")}, three)
does("append to a list", {"l": ["a"]}, Append(STATE, "l", tuple(ABC[1:])), {"l": list("abc")}, three)
does("append to an empty list", {"l": []}, Append(STATE, "l", (ABC[0],)), {"l": ["a"]}, v(1))
does("append keeps the last three", {"l": list("xyz")}, Append(STATE, "l", (ABC[0],), 3), {"l": ["y", "z", "a"]}, three)
does(
    "append keeps the last of many new ones",
    {"l": list("xyz")},
    Append(STATE, "l", tuple(ABC), 2),
    {"l": ["b", "c"]},
    v(2),
)
does("append with room to spare", {"l": ["a"]}, Append(STATE, "l", (ABC[1],), 2), {"l": ["a", "b"]}, v(2))
does(
    "append with more room than it needs",
    {"l": ["a", "b"]},
    Append(STATE, "l", (ABC[2],), 4),
    {"l": list("abc")},
    three,
)
does("append that keeps none", {"l": ["a"]}, Append(STATE, "l", (ABC[1],), 0), {"l": []}, v(0))
does("append with the greatest keep", {"l": ["a"]}, Append(STATE, "l", (ABC[1],), 2**31 - 1), {"l": ["a", "b"]}, v(2))
does(
    "append takes equal elements twice",
    {"l": ["a"]},
    Append(PROPS, "l", (ABC[0], ABC[0])),
    {"l": ["a", "a", "a"]},
    three,
)
idle("append of nothing tells the length", {"l": list("abc")}, Append(STATE, "l", ()), three)
idle("append of nothing keeps all whatever keep says", {"l": list("abc")}, Append(STATE, "l", (), 1), three)
idle("append of nothing to nothing makes no list", {}, Append(STATE, "l", ()), v(0))
for before in ("abc", 1, 1.0, None, (1, 2), {"a": 1}):
    refused(f"append to {before!r} is refused", {"l": before}, Append(STATE, "l", (ABC[0],)))
refused("append of nothing to a text is refused as well", {"l": "abc"}, Append(STATE, "l", ()))
refused("append to a recent set is refused", {"l": recent(b"a")}, Append(META, "l", (b"b",)))

# pop
does("pop takes the last", {"l": list("abc")}, Pop(STATE, "l"), {"l": ["a", "b"]}, ABC[2])
does("pop takes the first", {"l": list("abc")}, Pop(STATE, "l", True), {"l": ["b", "c"]}, ABC[0])
does("pop of the only element leaves an empty list", {"l": ["a"]}, Pop(STATE, "l"), {"l": []}, ABC[0])
does("pop of the first and only element", {"l": ["a"]}, Pop(STATE, "l", True), {"l": []}, ABC[0])
idle("pop of an empty list has no result", {"l": []}, Pop(STATE, "l"))
idle("pop of nothing has no result", {}, Pop(STATE, "l"))
refused("pop of a text is refused", {"l": "abc"}, Pop(STATE, "l"))
refused("pop of an int is refused", {"l": 1}, Pop(STATE, "l", True))
refused("pop of a recent set is refused", {"l": recent(b"a")}, Pop(META, "l"))

# set_default
does("set_default of nothing puts it", {}, SetDefault(STATE, "a", v("x")), {"a": "x"}, v("x"))
idle("set_default answers what is there", {"a": "old"}, SetDefault(STATE, "a", v("x")), v("old"))
idle("set_default takes none for a value", {"a": None}, SetDefault(STATE, "a", v("x")), v(None))
idle("set_default answers an int whole", {"a": 7}, SetDefault(STATE, "a", v("x")), v(7))

# compare_and_set
does("compare_and_set of an equal value", {"a": 1}, CompareAndSet(STATE, "a", v(1), v(2)), {"a": 2}, True)
does("compare_and_set of nothing to a value", {}, CompareAndSet(STATE, "a", None, v(2)), {"a": 2}, True)
does("compare_and_set of a value to nothing", {"a": 1}, CompareAndSet(STATE, "a", v(1), None), {}, True)
does("compare_and_set to the same value writes", {"a": 1}, CompareAndSet(STATE, "a", v(1), v(1)), {"a": 1}, True)
idle("compare_and_set of nothing to nothing holds and writes nothing", {}, CompareAndSet(STATE, "a", None, None), True)
idle("compare_and_set of another value", {"a": 1}, CompareAndSet(STATE, "a", v(2), v(3)), False)
idle("compare_and_set of a value that is not there", {}, CompareAndSet(STATE, "a", v(1), v(2)), False)
idle("compare_and_set of nothing where there is a value", {"a": 1}, CompareAndSet(STATE, "a", None, v(2)), False)
idle("compare_and_set tells 1 from 1.0", {"a": 1}, CompareAndSet(STATE, "a", v(1.0), v(2)), False)
idle("compare_and_set tells 0.0 from -0.0", {"a": 0.0}, CompareAndSet(STATE, "a", v(-0.0), v(2)), False)
does("compare_and_set may expect a gate", {"a": gate(5)}, CompareAndSet(META, "a", gate(5), v(2)), {"a": 2}, True)

# remember
does("remember in a new set", {}, Remember("s", b"m1", 3), {"s": recent(b"m1")}, True)
does("remember a second value", {"s": recent(b"m1")}, Remember("s", b"m2", 3), {"s": recent(b"m1", b"m2")}, True)
does(
    "remember pushes the oldest out",
    {"s": recent(b"1", b"2", b"3")},
    Remember("s", b"4", 3),
    {"s": recent(b"2", b"3", b"4")},
    True,
)
does(
    "remember with a smaller keep drops more",
    {"s": recent(b"1", b"2", b"3")},
    Remember("s", b"4", 1),
    {"s": recent(b"4")},
    True,
)
idle("remember a value again is not new", {"s": recent(b"1", b"2", b"3")}, Remember("s", b"1", 3), False)
idle(
    "remember a value again with a smaller keep drops none",
    {"s": recent(b"1", b"2", b"3")},
    Remember("s", b"1", 1),
    False,
)
does(
    "remember with the greatest keep",
    {"s": recent(b"1")},
    Remember("s", b"2", 2**31 - 1),
    {"s": recent(b"1", b"2")},
    True,
)
for before in ("text", 1, [b"m1"], gate(NOW)):
    refused(
        f"remember in {'a gate' if isinstance(before, bytes) else repr(before)} is refused",
        {"s": before},
        Remember("s", b"m1", 3),
    )

# allow
does("allow opens a new gate", {}, Allow("g", 1_000), {"g": gate(NOW)}, True)
does(
    "allow opens again when the interval has passed",
    {"g": gate(NOW - 1_000)},
    Allow("g", 1_000),
    {"g": gate(NOW)},
    True,
)
idle("allow does not open a millisecond early", {"g": gate(NOW - 999)}, Allow("g", 1_000), False)
idle("allow does not open twice in a millisecond", {"g": gate(NOW)}, Allow("g", 1), False)
does("allow opens a millisecond later", {"g": gate(NOW - 1)}, Allow("g", 1), {"g": gate(NOW)}, True)
idle("allow does not open when the clock went back", {"g": gate(NOW + 5_000)}, Allow("g", 1), False)
does("allow with a shorter interval than before", {"g": gate(NOW - 500)}, Allow("g", 500), {"g": gate(NOW)}, True)
refused("allow on a text is refused", {"g": "x"}, Allow("g", 1))
refused("allow on an int is refused", {"g": 5}, Allow("g", 1))
refused("allow on a recent set is refused", {"g": recent(b"x")}, Allow("g", 1))

# several in one commit
R = live({"a": 1, "l": ["x"]}, {"p": "q"})


def several(name: str, *operations: Operation, results: tuple[Result, ...], **after: Any) -> None:
    command = Commit(op(1), SOON, operations)
    TABLE.add(name, R, command, after=written(R, command, results=results, **after), results=results)


several(
    "one of each operation",
    Set(STATE, "s", v("new")),
    Increment(STATE, "a", 2),
    Append(STATE, "l", (encode("y"),)),
    Pop(STATE, "l", True),
    Take(PROPS, "p"),
    SetDefault(PROPS, "d", v(1.5)),
    CompareAndSet(PROPS, "d", v(1.5), v(2.5)),
    Remove(STATE, "s"),
    Remember("m", b"1", 5),
    Allow("g", 10),
    results=(None, v(3), v(2), encode("x"), v("q"), v(1.5), True, True, True, True),
    state={"a": 3, "l": ["y"]},
    props={"d": 2.5},
    meta={"m": recent(b"1"), "g": gate(NOW)},
)
several(
    "results that are none stand between others",
    Set(STATE, "a", v(2)),
    Remove(STATE, "no"),
    Pop(STATE, "none"),
    results=(None, False, None),
    state={"a": 2, "l": ["x"]},
)
several(
    "without any result there are none at all",
    Set(STATE, "a", v(2)),
    Pop(STATE, "none"),
    Take(STATE, "none"),
    results=(),
    state={"a": 2, "l": ["x"]},
)
several(
    "remember twice in one commit is new once",
    Remember("m", b"1", 5),
    Remember("m", b"1", 5),
    results=(True, False),
    meta={"m": recent(b"1")},
)
several(
    "allow twice in one commit opens once", Allow("g", 1), Allow("g", 1), results=(True, False), meta={"g": gate(NOW)}
)
several(
    "increment sees the increment before it",
    Increment(STATE, "n", 1),
    Increment(STATE, "n", 1),
    Increment(STATE, "n", 0.5),
    results=(v(1), v(2), v(2.5)),
    state={"a": 1, "l": ["x"], "n": 2.5},
)
several(
    "set and remove again leaves no field but writes",
    Set(STATE, "n", v(1)),
    Remove(STATE, "n"),
    results=(None, True),
    state={"a": 1, "l": ["x"]},
)
TABLE.add(
    "an operation that fails undoes those before it",
    R,
    Commit(
        op(1),
        SOON,
        (Set(STATE, "a", v(9)), Append(STATE, "l", (b"\xc0",)), Increment(STATE, "l", 1), Set(STATE, "z", v(1))),
    ),
    status=Status.WRONG_TYPE,
    index=2,
)
TABLE.add(
    "an operation that fails creates no session",
    None,
    Commit(op(1), SOON, (Set(STATE, "a", v("x")), Increment(STATE, "a", 1))),
    status=Status.WRONG_TYPE,
    index=1,
)
command = Commit(op(1), SOON, (Increment(STATE, "n", 1), Remember("m", b"1", 5)))
TABLE.add(
    "operations create the session they need",
    None,
    command,
    after=born(command, results=(v(1), True), state={"n": 1}, meta={"m": recent(b"1")}),
    results=(v(1), True),
)
several(
    "the same names in other bags are other fields",
    Increment(PROPS, "a", 5),
    Increment(META, "a", 7),
    results=(v(5), v(7)),
    props={"p": "q", "a": 5},
    meta={"a": 7},
)
