"""A session's verbs as a caller meets them; what they do where sessions live is the contract's (tests/contract)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gridsession import ABSENT, KEEP, Bag, Policy, Revision, Session, SessionId, SessionStore, operations
from gridsession._commands import Command
from gridsession._identity import Space
from gridsession._limits import Limits
from gridsession._reply import Reply, Status
from gridsession.drivers.memory import MemoryDriver
from gridsession.errors import Busy, InvalidInput, InvalidOption, InvalidSessionId, InvalidValue
from gridsession.testing.clock import ManualClock

ID = "test:1"
SECRET = "4111 1111 1111 1111"

ONE_COMMAND: dict[str, Callable[[Any], Awaitable[object]]] = {
    "load": lambda bag: bag.load(),
    "get": lambda bag: bag.get("a"),
    "set": lambda bag: bag.set("a", 1),
    "update": lambda bag: bag.update(a=1, b=2),
    "remove": lambda bag: bag.remove("a", "b"),
    "clear": lambda bag: bag.clear(retain=["a"]),
    "increment": lambda bag: bag.increment("n"),
    "append": lambda bag: bag.append("log", 1, keep=3),
    "pop": lambda bag: bag.pop("log"),
    "take": lambda bag: bag.take("a"),
    "setdefault": lambda bag: bag.setdefault("a", 1),
    "compare_and_set": lambda bag: bag.compare_and_set("a", 1, 2),
}
ONE_COMMAND_OF_A_SESSION: dict[str, Callable[[Any], Awaitable[object]]] = {
    "remember": lambda session: session.remember("m1"),
    "allow": lambda session: session.allow(every=1),
    "touch": lambda session: session.touch(),
    "ttl": lambda session: session.ttl(),
    "delete": lambda session: session.delete(),
    "exists": lambda session: session.exists(),
    "commit": lambda session: session.commit(operations.set("a", 1), operations.increment("n")),
}


@pytest.mark.parametrize("verb", [*ONE_COMMAND, *ONE_COMMAND_OF_A_SESSION])
async def test_each_verb_is_one_command(verb: str, driver: MemoryDriver, sent: list[Command]) -> None:
    async with SessionStore.open(driver=driver, policy=Policy(ttl=60, touch_on_read=True)) as store:
        for exists in (False, True):
            session = store.session(f"test:{exists}")
            if exists:
                await session.set("a", 1)
            sent.clear()
            await (ONE_COMMAND | ONE_COMMAND_OF_A_SESSION)[verb](session)
            assert len(sent) == 1
            if verb in ONE_COMMAND:
                await ONE_COMMAND[verb](session.props)
                assert len(sent) == 2


async def test_these_are_all_the_verbs() -> None:
    assert {name for name in dir(Bag) if not name.startswith("_")} == set(ONE_COMMAND)
    # `lease` looks at what is stored, for operators; it is no command.
    own = {name for name in dir(Session) if not name.startswith("_")} - {"id", "props", "lease"}
    assert own == set(ONE_COMMAND | ONE_COMMAND_OF_A_SESSION)


async def test_making_handles_sends_nothing(driver: MemoryDriver, sent: list[Command]) -> None:
    async with SessionStore.open(driver=driver) as store:
        session = store.session(SessionId("line", "U1:x"))
        assert session.id == "line:U1:x"
        assert store.session("line:U1:x").id == session.id
        assert session.props is not None
    assert sent == []


@pytest.mark.parametrize(
    "bad", ["", "line", "line:", ":x", "Line:x", "li ne:x", "line:\0", "line:\ud800", "l:" + "x" * 2047, 7, None]
)
async def test_what_is_no_session_id_is_refused(bad: Any, driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        with pytest.raises(InvalidSessionId):
            store.session(bad)
        with pytest.raises(InvalidSessionId):
            store.turn(bad)


async def test_keywords_of_update_are_always_fields(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        made = await store.session(ID).update({"a": 1, "b": 1}, b=2, self=3, mapping=4, name=5, ttl=6, type=7)
        assert dict(made) == {"a": 1, "b": 2, "self": 3, "mapping": 4, "name": 5, "ttl": 6, "type": 7}


async def test_a_value_that_cannot_be_stored_is_named_by_its_path_and_nothing_is_sent(
    driver: MemoryDriver, sent: list[Command]
) -> None:
    async with SessionStore.open(driver=driver) as store:
        session = store.session(ID)
        bad = [1, {"ok": 1}, {"price": object()}]
        calls: list[tuple[Callable[[], Awaitable[object]], str]] = [
            (lambda: session.set("cart", bad), "$.cart[2].price"),
            (lambda: session.update(fine=1, cart=bad), "$.cart[2].price"),
            (lambda: session.append("cart", 1, {"price": object()}), "$.cart.price"),
            (lambda: session.setdefault("cart", {1.5: 1}), "$.cart"),
            (lambda: session.compare_and_set("cart", 1, {"a": {"b": print}}), "$.cart.a.b"),
            (lambda: session.props.set("name", "\ud800"), "$.name"),
        ]
        for call, path in calls:
            with pytest.raises(InvalidValue) as refused:
                await call()
            assert refused.value.path == path
            assert path in str(refused.value)
        assert sent == []


async def test_what_makes_no_sense_is_refused_and_nothing_is_sent(driver: MemoryDriver, sent: list[Command]) -> None:
    async with SessionStore.open(driver=driver) as store:
        session: Any = store.session(ID)
        calls: list[tuple[Callable[[], Awaitable[object]], type[Exception]]] = [
            (lambda: session.set("", 1), InvalidValue),
            (lambda: session.set(1, 1), InvalidValue),
            (lambda: session.get("\ud800"), InvalidValue),
            (lambda: session.get(None), InvalidValue),
            (lambda: session.get("log", last=-1), InvalidInput),
            (lambda: session.get("log", last=2**31), InvalidInput),
            (lambda: session.get("log", last=1.5), InvalidInput),
            (lambda: session.get("log", last="1"), InvalidInput),
            (lambda: session.commit(clear_props="abc"), InvalidInput),
            (lambda: session.update({1: 1}), InvalidValue),
            (lambda: session.remove("a", ""), InvalidValue),
            (lambda: session.clear(retain="abc"), InvalidInput),
            (lambda: session.commit(clear="abc"), InvalidInput),
            (lambda: session.increment("n", True), InvalidValue),
            (lambda: session.increment("n", "1"), InvalidValue),
            (lambda: session.increment("n", 2**63), InvalidValue),
            (lambda: session.append("log", 1, keep=-1), InvalidValue),
            (lambda: session.remember("m", keep=0), InvalidValue),
            (lambda: session.remember("m", keep=10_001), InvalidValue),
            (lambda: session.remember(object()), InvalidValue),
            (lambda: session.allow(every=0), InvalidOption),
            (lambda: session.allow(every=-1), InvalidOption),
            (lambda: session.allow("", every=1), InvalidValue),
            (lambda: session.touch(0), InvalidOption),
            (lambda: session.set("a", 1, ttl=0), InvalidOption),
            (lambda: session.set("a", 1, ttl="60"), InvalidOption),
            (lambda: session.commit(ttl=float("nan")), InvalidOption),
            (lambda: session.commit(operations.set("a", 1, bag="meta")), InvalidInput),
        ]
        for number, (call, error) in enumerate(calls):
            with pytest.raises(error):
                await call()
            assert sent == [], number


async def test_a_typed_read_is_checked_and_never_cast(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        session = store.session(ID)
        await session.update(count=1, price="9.50", tags=["a"])
        assert await session.get("count", type=int) == 1
        assert await session.get("tags", type=list[str]) == ["a"]
        assert await session.get("missing", type=int) is None
        assert await session.get("missing", 5, type=int) == 5
        with pytest.raises(InvalidValue) as refused:
            await session.get("price", type=float)
        assert refused.value.path == "$.price"
        assert "9.50" not in str(refused.value)
        snapshot = await session.load()
        assert snapshot.read("count", int) == 1
        with pytest.raises(InvalidValue):
            snapshot.read("price", float)
        with pytest.raises(KeyError):
            snapshot.read("missing", int)


async def test_a_snapshot_is_a_mapping_that_cannot_be_written(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        snapshot: Any = await store.session(ID).update(b=1, a=[2])
        assert (list(snapshot), len(snapshot), "a" in snapshot, "c" in snapshot) == (["b", "a"], 2, True, False)
        assert snapshot == {"b": 1, "a": [2]}
        assert snapshot.get("c", "else") == "else"
        assert snapshot.results == ()
        with pytest.raises(TypeError):
            snapshot["a"] = 1
        with pytest.raises(TypeError):
            snapshot.props["a"] = 1
        snapshot["a"].append(3)
        assert snapshot["a"] == [2]


async def test_nothing_that_is_printed_shows_a_value(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        session = store.session(ID)
        snapshot = await session.commit(operations.set("card", SECRET), operations.set("p", SECRET, bag="props"))
        shown = [session, session.props, snapshot, snapshot.props, snapshot.revision, store, store.globals, driver]
        async with store.turn(ID) as turn:
            shown += [turn, turn.session]
        for call in (session.increment("card"), session.pop("card"), session.get("card", type=int)):
            with pytest.raises(Exception) as refused:  # noqa: PT011 - whichever it is
                await call
            shown += [refused.value, str(refused.value)]
        assert SECRET not in " ".join(map(repr, shown))
        assert "card" in repr(snapshot)


async def test_ttl_and_touch_are_in_seconds(driver: MemoryDriver, clock: ManualClock) -> None:
    async with SessionStore.open(driver=driver, policy=Policy(ttl=dt.timedelta(minutes=15))) as store:
        session = store.session(ID)
        await session.set("a", 1)
        assert await session.ttl() == 900
        clock.advance(0.001)
        assert await session.ttl() == 899.999
        await session.commit(operations.set("a", 2), ttl=KEEP)
        assert await session.ttl() == 899.999
        await session.set("a", 3)
        assert await session.ttl() == 900
        await session.set("a", 4, ttl=dt.timedelta(milliseconds=1500))
        assert await session.ttl() == 1.5
        await session.set("a", 5)
        assert await session.ttl() == 1.5, "a session keeps the ttl it was given last"
        assert await session.touch(60)
        assert await session.ttl() == 60
        await session.set("a", 6, ttl=None)
        assert await session.ttl() is None


async def test_the_policy_is_taken_when_a_session_is_created(driver: MemoryDriver) -> None:
    async with (
        SessionStore.open(driver=driver, policy=Policy(ttl=60)) as short,
        SessionStore.open(driver=driver, policy=Policy(ttl=600)) as long,
    ):
        await short.session(ID).set("a", 1)
        await long.session(ID).set("a", 2)
        assert await long.session(ID).ttl() == 60


async def test_delete_is_true_for_one_and_conflicts_at_another_revision(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        session = store.session(ID)
        made = await session.update(a=1)
        assert made.revision == Revision(made.revision.epoch, 1)
        assert [await session.delete(), await session.delete()] == [True, False]


async def test_absent_is_not_none(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        session = store.session(ID)
        await session.set("a", None)
        assert not await session.compare_and_set("a", ABSENT, 1)
        assert await session.compare_and_set("a", None, ABSENT)
        assert "a" not in await session.load()
        assert repr(ABSENT) == "ABSENT"


@pytest.mark.parametrize("verb", ["update", "remove"])
async def test_a_change_of_nothing_makes_no_session(verb: str, driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        session = store.session(ID)
        await getattr(session, verb)()
        assert not await session.exists()
        made = await session.update(a=1)
        await getattr(session, verb)()
        assert (await session.load()).revision == made.revision


async def test_who_was_told_busy_until_it_was_too_late_is_told_busy(clock: ManualClock) -> None:
    class Crowded(MemoryDriver):
        """Remembers one change, and asks come so late that there is no time left for a second attempt."""

        async def execute(
            self, space: Space, session_id: str, command: Command, *, deadline: float | None = None
        ) -> Reply:
            reply = await super().execute(space, session_id, command, deadline=deadline)
            if reply.status is Status.BUSY:
                clock.advance(60)
            return reply

    async with SessionStore.open(driver=Crowded(clock=clock, limits=Limits(ring=1))) as store:
        session = store.session(ID)
        await session.set("a", 1)
        with pytest.raises(Busy):
            await session.set("a", 2)
        assert await session.get("a") == 1
