"""Random values, records and commands for Hypothesis: one set for the Python rules, Java's and live members.

`scripts()` gives what happens to one session: a list of (milliseconds since the step before, command). Commands are
drawn from few names, ids and numbers, so that they meet each other: resends, conflicts, guards that hold, leases that
pass from hand to hand. `resolved` fills in what only a reply can tell, `shifted` moves a script to another time.
"""

from __future__ import annotations

import datetime as dt
import decimal
import itertools
import math
import zoneinfo
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from gridsession import _codec
from gridsession._commands import (
    Absent,
    AckExpired,
    Acquire,
    Allow,
    Append,
    AtRevision,
    ClaimExpired,
    Command,
    Commit,
    CompareAndSet,
    Delete,
    Field,
    Guard,
    Increment,
    Install,
    Load,
    Mode,
    NotRemembered,
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
    Touch,
    TtlMode,
    Unchanged,
    Want,
    digest,
)
from gridsession._record import (
    GATE,
    META,
    PROPS,
    RECENT,
    STATE,
    Fields,
    Lease,
    Previous,
    Record,
    Remembered,
    Waiter,
    encode_field,
    join_elements,
)
from gridsession._reply import Grant, Life, Reply, Result, Status, encode_results
from gridsession.errors import CorruptRecord

Script = list[tuple[int, Command]]
"""Steps of one session: milliseconds since the step before, and the command."""

START = 1_700_000_000_000
"""When scripts begin unless told otherwise, ms since 1970."""

# --- values ----------------------------------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
_zones: st.SearchStrategy[dt.tzinfo | None] = st.one_of(
    st.none(),
    st.just(dt.UTC),
    st.timedeltas(dt.timedelta(hours=-23, minutes=-59), dt.timedelta(hours=23, minutes=59)).map(dt.timezone),
)
_decimals = st.one_of(
    st.decimals(allow_nan=False),
    st.sampled_from([decimal.Decimal(text) for text in ("-0", "1.10", "1E+99", "1E-99", "Infinity", "-Infinity")]),
)
hashable_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    texts,
    st.binary(max_size=20),
    st.datetimes(timezones=_zones),
    st.dates(),
    st.times(timezones=st.sampled_from([None, dt.UTC])),
    st.timedeltas(),
    _decimals,
    st.uuids(),
)
_keys = st.one_of(texts, st.integers(-(2**63), 2**64 - 1))
_hashables = st.recursive(
    hashable_scalars,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
values = st.recursive(
    hashable_scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(_keys, inner, max_size=4),
        st.sets(_hashables, max_size=4),
        st.frozensets(_hashables, max_size=4),
    ),
    max_leaves=12,
)
"""All that the codec promises to give back equal and of the same type."""


class Opaque:
    """What no codec can store."""


refused_scalars = st.one_of(
    st.builds(Opaque),
    st.complex_numbers(allow_nan=False),
    st.just("\ud800"),
    st.sampled_from([range(3), len, int, ..., NotImplemented, bytearray(b"x"), memoryview(b"x")]),
    st.just({1.5: "float key"}),
    st.just({(1, 2): "tuple key"}),
    st.just({b"bytes": "bytes key"}),
    st.just({None: "none key"}),
    st.just({True: "bool key"}),
)
zone_names = st.sampled_from(sorted(zoneinfo.available_timezones()) or ["UTC"])

# --- parts of records and commands ------------------------------------------------------------------------------------

# Drawn from lists made beforehand: one choice each, or long scripts would take seconds to draw.
NAMES = ("a", "b", "l", "ก", "e\u0301", "é")
HELD = 1
"""A token that stands for the one granted last; `resolved` puts the real one in its place."""
HERE = 1
"""An epoch that stands for the last reply's, as revision 2**62 does for its revision; see `resolved`."""
LAST = 2**62

_NUMBERS: tuple[int | float, ...] = (1, -3, 0, 2**63 - 1, -(2**63), 0.5, -0.0, 0.1, 1e308, -1e308, 5e-324, 1e16)
_RAWS = tuple(
    encode_field(value)
    for value in (
        1,
        "x",
        [],
        [1, 2, 3],
        2.5,
        "",
        None,
        True,
        b"\xff",
        {"k": [1]},
        2**63,
        -0.0,
        2**63 - 1,
        math.inf,
        ["ก", []],
    )
)
_ELEMENTS = tuple(_codec.encode(value) for value in (1, "x", [1, [2]]))
_MESSAGES = tuple(_codec.encode(f"m{number}") for number in range(5))
_BAGS = (STATE, STATE, PROPS, META)
_SETS = ("seen", "other")
_DURATIONS = (30_000, 1_000, 20, 86_400_000)
_TTLS = (0, 1_000, 30, 60_000, 3_155_760_000_000)
_TOKENS = (0, 0, 0, HELD, HELD, 2**64 - 1)
_OP_IDS = tuple(b"op" + number.to_bytes(14, "big") for number in range(30))


def request_id(letter: str) -> bytes:
    """The request id of worker `letter`."""
    return b"request-of-wrk-" + letter.encode()


_REQUESTS = tuple(request_id(letter) for letter in "abcdef")
raws = st.sampled_from(_RAWS)
"""Raw bytes as a client may send them."""


def _operations() -> list[Operation]:
    made: list[Operation] = []
    for bag, name in itertools.product(_BAGS, NAMES):
        made += (Set(bag, name, raw) for raw in _RAWS[:9])
        made += (Increment(bag, name, number) for number in (*_NUMBERS, math.nan))
        made += (Remove(bag, name), Pop(bag, name), Pop(bag, name, True), Take(bag, name))
        made += (
            Append(bag, name, _ELEMENTS[:count], keep) for count, keep in ((1, -1), (2, 3), (0, 1), (3, 2), (1, 0))
        )
        made += (SetDefault(bag, name, raw) for raw in _RAWS[:4])
        made += (CompareAndSet(bag, name, expected, _RAWS[1]) for expected in (None, *_RAWS[:3]))
        made += (CompareAndSet(bag, name, _RAWS[0], None), CompareAndSet(bag, name, None, None))
    for name, message in itertools.product(_SETS, _MESSAGES):
        made += (Remember(name, message, keep) for keep in (1, 3, 100))
    made += (Allow(name, every) for name in ("gate", "seen", "a") for every in (1, 20, 5_000))
    return made


def _guards() -> list[Guard]:
    made: list[Guard] = [Present()] * 20 + [Absent()] * 8 + [AtRevision(HERE, LAST)] * 20 + [AtRevision(HERE, 0)] * 5
    made += [AtRevision(epoch, revision) for epoch in (0, HERE, START, 2**64 - 1) for revision in (0, 1, 2, 2**64 - 1)]
    made += [NotRemembered(name, message) for name in _SETS for message in _MESSAGES] * 2
    made += [
        Unchanged(bag, name, digest(raw)) for bag in (STATE, META) for name in NAMES for raw in (None, None, *_RAWS[:3])
    ]
    return made


operations = st.sampled_from(_operations())
guards = st.sampled_from(_guards())
_few_guards = st.sampled_from((0, 0, 0, 1, 1, 2)).flatmap(lambda count: st.tuples(*[guards] * count))
_few_operations = st.lists(operations, max_size=4).map(tuple)
_retained = st.sampled_from(((), (), ((STATE, "a"),), ((STATE, "l"), (PROPS, "a"), (META, "a"))))
_loads = st.sampled_from(
    [Load(want, confirm=confirm) for want in Want for confirm in (False, True)]
    + [Load(Want.REVISION, touch=Touch(less, ttl)) for less in (0, 50, 2**62) for ttl in (-1, 0, 100, 60_000)]
    + [
        Load(
            want,
            tuple(Field(bag, name, tail) for bag in (STATE, META) for name in names),
            seen=NotRemembered("seen", message),
        )
        for want in Want
        for names, tail in ((("a",), -1), (("l", "a", "l"), 1), ((), 0), (("seen", "é"), 2))
        for message in _MESSAGES[:2]
    ]
)
_acquires = st.sampled_from(
    [
        Load(want, acquire=Acquire(f"worker-{request[-1:].decode()}", request, duration, patience))
        for want in (Want.NOTHING, Want.RECORD)
        for request in _REQUESTS
        for duration in _DURATIONS
        for patience in (0, 5, 100, 5_000)
    ]
)
_holding = st.sampled_from(
    [Renew(token, duration, 0) for token in (HELD, HELD, HELD, 5) for duration in _DURATIONS]
    + [Release(0, token) for token in (HELD, HELD, 5) for _ in range(6)]
    + [Release(0, 0, request) for request in (*_REQUESTS, bytes(16)) for _ in range(2)]
)
_commit_heads = st.sampled_from(
    [
        Commit(
            b"",
            0,
            token=token,
            clear=clear,
            ttl_mode=mode,
            ttl=ttl,
            created_ttl=born,
            created_max_lifetime=most,
            want=want,
            release=release,
        )
        for token, release in ((0, False), (0, False), (0, False), (HELD, False), (HELD, True), (2**64 - 1, True))
        for clear in (0, 0, 0, 1, 2, 3)
        for mode, ttl in (
            (TtlMode.RESTART, 0),
            (TtlMode.RESTART, 9),
            (TtlMode.KEEP, 9),
            *((TtlMode.SET, ttl) for ttl in _TTLS),
        )
        for born, most in ((0, 0), (0, 0), (60_000, 0), (1_000, 0), (0, 2_000), (60_000, 61_000))
        for want in (Want.NOTHING, Want.REVISION, Want.CHANGED, Want.RECORD)
    ]
)
_op_ids = st.sampled_from(_OP_IDS)
_retries = st.sampled_from((False, False, True))
_claim_ids = tuple(b"claim" + number.to_bytes(11, "big") for number in range(4))
_claims = st.sampled_from(
    [
        ClaimExpired(claim, duration, 0, renew)
        for claim in _claim_ids
        for duration in (*_DURATIONS, 1)
        for renew in (False, False, True)
    ]
    + [AckExpired(claim, 0, retry) for claim in _claim_ids for retry in (False, False, True) for _ in range(4)]
)


@st.composite
def commits(draw: st.DrawFn) -> Commit:
    """A Commit, its deadline still to be set."""
    head = draw(_commit_heads)
    return replace(
        head,
        op_id=draw(_op_ids),
        operations=draw(_few_operations),
        guards=draw(_few_guards),
        retain=draw(_retained) if head.clear else (),
        retry=draw(_retries),
        announce=draw(_retries),
    )


@st.composite
def deletes(draw: st.DrawFn) -> Delete:
    """A Delete, its deadline still to be set."""
    token = draw(st.sampled_from(_TOKENS))
    return Delete(draw(_op_ids), 0, draw(_few_guards), token, token == HELD and draw(_retries), draw(_retries))


def installs(session_id: str) -> st.SearchStrategy[Install]:
    """An Install, mostly of a good record of this id, its deadline still to be set."""
    given = st.one_of(records(session_id), records(session_id), records(session_id), records("line:other"))
    data = st.one_of(given.map(Record.encode), given.map(Record.encode), st.binary(max_size=9))
    return st.builds(Install, _op_ids, st.just(0), data, st.sampled_from(Mode), _retries)


def commands(session_id: str = "line:U1") -> st.SearchStrategy[Command]:
    """Any command for this id; deadlines are 0, `scripts` sets them."""
    kinds: list[st.SearchStrategy[Command]] = [_loads, _acquires, _holding, commits(), deletes(), installs(session_id)]
    kinds.append(_claims)
    weights = (2, 4, 2, 7, 1, 1, 3)
    return st.sampled_from([kind for kind, weight in enumerate(weights) for _ in range(weight)]).flatmap(
        lambda kind: kinds[kind]
    )


def timed(command: Command, deadline: int) -> Command:
    """The command with its deadline; a Load that needs none keeps none."""
    if isinstance(command, Load) and command.acquire is None:
        return command
    return replace(command, not_after=deadline)


STEPS = (0, 0, 0, 0, 0, 1, 1, 2, 20, 20, 100, 1_000, 10_000)
"""Milliseconds between two steps, where the clock can be set."""


@st.composite
def scripts(draw: st.DrawFn, session_id: str = "line:U1", max_steps: int = 15, steps: Sequence[int] = STEPS) -> Script:
    """What happens to one session, in rising time from `START` on.

    Args:
        max_steps: the longest script.
        steps: distances to draw from, ms. Against a live member, whose clock cannot be set, give those that the test
            can sleep or 0, and `shifted` the script to the member's time.

    Resends come of themselves (few op ids); some steps repeat an earlier command as it was, deadline included. Tokens,
    epochs and revisions that only a reply can tell are placeholders: send `resolved(command, ...)`.
    """
    script: Script = []
    now = START
    for _ in range(draw(st.integers(1, max_steps))):
        step = draw(st.sampled_from(steps))
        now += step
        if script and draw(st.integers(0, 5)) == 0:
            again = draw(st.sampled_from(script))[1]
            if isinstance(again, Commit | Delete | Install | AckExpired):
                again = replace(again, retry=again.retry or draw(st.booleans()))
            script.append((step, again))
            continue
        patience = draw(st.sampled_from((10_000, 10_000, 10_000, 5_000, 1, 0, 299_000)))
        script.append((step, timed(draw(commands(session_id)), now + patience)))
    return script


def resolved(command: Command, reply: Reply | None, token: int) -> Command:
    """The command with its placeholders replaced.

    Args:
        reply: the last reply of this session, whose epoch and revision `HERE` and `LAST` stand for; None = none yet.
        token: the token granted last, or 0.
    """
    if isinstance(command, Commit | Delete):
        place = {HERE: 0, LAST: 0} if reply is None else {HERE: reply.epoch, LAST: reply.revision}
        told: tuple[Guard, ...] = tuple(
            AtRevision(place.get(guard.epoch, guard.epoch), place.get(guard.revision, guard.revision))
            if isinstance(guard, AtRevision)
            else guard
            for guard in command.guards
        )
        # A lease is given back by its holder alone: without a token there is none to give.
        mine = command.token != HELD or token > 0
        held = token if command.token == HELD else command.token
        return replace(command, guards=told, token=held, release=command.release and mine)
    if isinstance(command, Renew | Release) and command.token == HELD:
        return replace(command, token=token or 2**64 - 1)
    return command


def shifted(script: Script, by: int) -> Script:
    """The script `by` ms later: deadlines, and the times in records that are installed."""
    return [(step, _shifted(command, by)) for step, command in script]


def _shifted(command: Command, by: int) -> Command:
    if command.not_after:
        command = replace(command, not_after=command.not_after + by)
    if isinstance(command, Install):
        try:
            given = Record.decode(command.record)
        except CorruptRecord:
            return command
        later = replace(given, created=given.created + by, touched=given.touched + by) if given.live else given
        later = replace(later, previous=tuple(_later(ended, by) for ended in later.previous))
        return replace(command, record=later.encode())
    return command


def _later(ended: Previous, by: int) -> Previous:
    until = ended.until + by if ended.claim else 0
    return replace(ended, created=ended.created + by, expired=ended.expired + by, until=until)


# --- records and replies ----------------------------------------------------------------------------------------------

_times = st.integers(START - 100_000, START + 100_000)
_big = st.sampled_from((0, 1, 2, 5, START - 5, START, START + 9, 2**62 - 1))
_OWNERS = ("worker-a", "", "ü" * 127)
_FIELDS: tuple[Fields, ...] = (
    {},
    {"a": _RAWS[0]},
    {"l": _RAWS[3], "a": _RAWS[1]},
    {"é": _RAWS[4], "e\u0301": _RAWS[5], "ก": _RAWS[6]},
    dict(zip(NAMES, _RAWS, strict=False)),
)
_META: tuple[Fields, ...] = (
    {},
    {"seen": join_elements(RECENT, list(_MESSAGES[:2]))},
    {"gate": bytes((GATE,)) + START.to_bytes(8, "big"), "other": join_elements(RECENT, list(_MESSAGES)), "a": _RAWS[0]},
)
_spans = st.sampled_from((None, None, 1, 50_000, 200_000, 3_155_760_000_000))
_results: tuple[tuple[Result, ...], ...] = ((), (True,), (None, False), (b"", b"x" * 9, None, True))


def results() -> st.SearchStrategy[tuple[Result, ...]]:
    """Results of operations."""
    return st.sampled_from(_results) | st.lists(st.none() | st.booleans() | st.binary(max_size=9), max_size=4).map(
        tuple
    )


_unclaimed = st.builds(
    Previous,
    _big,
    _big,
    _times,
    _times,
    st.booleans(),
    bags=st.tuples(st.sampled_from(_FIELDS), st.sampled_from(_FIELDS)),
)


@st.composite
def _previous(draw: st.DrawFn) -> Previous:
    """The end of a session, claimed or not."""
    ended = draw(_unclaimed)
    if draw(st.booleans()):
        return ended
    attempts = draw(st.sampled_from((1, 2, 2**31 - 1)))
    return replace(ended, claim=draw(st.sampled_from(_claim_ids)), until=draw(_times), attempts=attempts)


_ends = st.lists(_previous(), max_size=3, unique_by=lambda ended: ended.claim or id(ended)).map(tuple)


@st.composite
def records(draw: st.DrawFn, session_id: str | None = None) -> Record:
    """A record that the rules could have written."""
    identity = session_id if session_id is not None else "line:" + draw(texts.filter(bool))
    owner, request = st.sampled_from(_OWNERS), st.sampled_from(_REQUESTS)
    told = st.sampled_from([encode_results(found) if found else b"" for found in _results])
    rings = st.builds(Remembered, _op_ids, _times, st.integers(0, 11), _big, _big, told)
    record = Record(
        identity,
        draw(_big),
        last_token=draw(_big),
        lease=draw(st.none() | st.builds(Lease, owner, request, _big, _times)),
        queue=tuple(draw(st.lists(st.builds(Waiter, owner, request, _times), max_size=2))),
        ring=tuple(draw(st.lists(rings, max_size=2))),
        previous=draw(_ends),
    )
    if draw(st.sampled_from((False, True, True, True))):
        bags = draw(st.tuples(st.sampled_from(_FIELDS), st.sampled_from(_FIELDS), st.sampled_from(_META)))
        times = {"revision": draw(_big), "created": draw(_times), "touched": draw(_times)}
        return replace(
            record, live=True, **times, ttl=draw(_spans), max_lifetime=draw(_spans), bags=bags, announce=draw(_retries)
        )
    return record


@st.composite
def replies(draw: st.DrawFn) -> Reply:
    """Any reply."""
    spans = st.none() | st.integers(1, 3_155_760_000_000)
    life: Any = st.none() | st.builds(Life, _times, spans, spans, st.none() | _times)
    grant = st.none() | st.builds(Grant, _big, _times, st.integers(0, 300))
    shown = st.none() | st.sampled_from(_FIELDS)
    return Reply(
        draw(st.sampled_from(Status)),
        "line:" + draw(texts),
        draw(_times),
        draw(_big),
        draw(_big),
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.booleans()),
        draw(life),
        draw(grant),
        draw(st.sampled_from((-1, 0, 5, 65_535))),
        draw(results()),
        (draw(shown), draw(shown), draw(shown)),
    )


@st.composite
def mutated(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes that differ a little: one changed, cut off, put in or left out, or the end repeated."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        position = draw(st.integers(0, max(len(changed) - 1, 0)))
        match draw(st.integers(0, 4)):
            case 0 if changed:
                changed[position] = draw(st.integers(0, 255))
            case 1:
                del changed[position:]
            case 2:
                changed[position:position] = draw(st.binary(min_size=1, max_size=4))
            case 3 if changed:
                del changed[position]
            case _:
                changed += changed[position:]
    return bytes(changed)
