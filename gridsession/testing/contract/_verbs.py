"""Cases of the contract: what each verb of a session does."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from typing import Any, Final

import pytest

from gridsession import ABSENT, Revision, operations
from gridsession.errors import Conflict, TooLarge, WrongType
from gridsession.testing.contract._place import ID, Place, case

VALUES: Final[dict[str, Any]] = {
    "none": None,
    "yes": True,
    "no": False,
    "zero": 0,
    "int": -42,
    "largest int64": 2**63 - 1,
    "smallest int64": -(2**63),
    "uint64": 2**64 - 1,
    "huge": -(10**80),
    "float": 0.1,
    "whole float": 3.0,
    "text": "café ☕ \U0001f44b 'quoted' \n\0",
    "empty text": "",
    "bytes": bytes(range(256)),
    "list": [1, "two", None, [3.0, {"four": 5}]],
    "empty list": [],
    "tuple": (1, ("two", [3])),
    "dict": {"a": {"b": {"c": [1, 2]}}, 7: "int key"},
    "empty dict": {},
    "set": {1, "two", (3,)},
    "frozenset": frozenset({"a", "b"}),
    "naive": dt.datetime(2024, 2, 29, 23, 59, 59, 999_999),  # noqa: DTZ001 - such are stored too
    "aware": dt.datetime(2024, 2, 29, 23, 59, tzinfo=dt.timezone(dt.timedelta(hours=7))),
    "date": dt.date(1, 1, 1),
    "time": dt.time(12, 30, 1, 5),
    "timedelta": dt.timedelta(days=-1, microseconds=1),
    "decimal": decimal.Decimal("10.50"),
    "uuid": uuid.UUID("12345678-1234-5678-1234-567812345678"),
}
"""A value of each type that can be stored, by the name of a field."""


def _same(found: Any, put: Any) -> bool:
    return type(found) is type(put) and found == put


class VerbCases:
    """Each verb is one atomic command."""

    @case
    async def test_a_missing_session_reads_as_empty_and_reading_does_not_make_one(self, place: Place) -> None:
        session = (await place.store()).session(ID)
        snapshot = await session.load()
        assert (dict(snapshot), dict(snapshot.props), snapshot.exists) == ({}, {}, False)
        assert await session.get("x") is None
        assert await session.get("x", "else") == "else"
        assert await session.ttl() == 0.0
        assert not await session.touch()
        assert not await session.remove("x")
        assert await session.pop("x", "none") == "none"
        assert await session.take("x", "none") == "none"
        assert not await session.delete()
        assert not await session.exists()

    @case
    async def test_every_value_comes_back_equal_and_of_its_type(self, place: Place) -> None:
        session = (await place.store()).session(ID)
        for bag in (session, session.props):
            await bag.update(VALUES)
        snapshot = await session.load()
        for name, value in VALUES.items():
            assert _same(snapshot[name], value), name
            assert _same(snapshot.props[name], value), name
            assert _same(await session.get(name, "missing"), value), name
        assert list(snapshot) == list(VALUES)

    @case
    async def test_odd_names_are_names_like_others(self, place: Place) -> None:
        names = [" ", ".", "$.a[0]", "self", "mapping", "name", "ttl", "é", "☕" * 42, "n" * 128, "\n", "\0"]
        session = (await place.store()).session(ID)
        await session.update({name: index for index, name in enumerate(names)})
        assert dict(await session.load()) == {name: index for index, name in enumerate(names)}
        assert [await session.get(name) for name in names] == list(range(len(names)))

    @case
    async def test_odd_ids_are_sessions_of_their_own(self, place: Place) -> None:
        keys = ["a", "A", "á", "a\u0301", "a:b", ":a", "a ", "a/b", "a*", "a?b=%20", "'; --", "☕", "\n", "k" * 2043]
        store = await place.store()
        for index, key in enumerate(keys):
            await store.session(f"test:{key}").set("index", index)
        assert [await store.session(f"test:{key}").get("index") for key in keys] == list(range(len(keys)))
        assert {session_id async for session_id in store.ids()} == {f"test:{key}" for key in keys}

    @case
    async def test_update_merges_field_by_field_and_returns_what_stands(self, place: Place) -> None:
        session = (await place.store()).session(ID)
        first = await session.update(a=1, b={"deep": 1})
        second = await session.update({"b": {"other": 2}}, c=3)
        assert dict(first) == {"a": 1, "b": {"deep": 1}}
        assert dict(second) == {"a": 1, "b": {"other": 2}, "c": 3}
        assert second.revision == Revision(first.revision.epoch, first.revision.number + 1)
        assert dict(await session.load()) == dict(second)
        assert (await session.load()).revision == second.revision

    @case
    async def test_state_and_props_are_apart(self, place: Place) -> None:
        session = (await place.store()).session(ID)
        await session.set("x", 1)
        await session.props.set("x", 2)
        assert await session.get("x") == 1
        assert await session.props.get("x") == 2
        await session.clear()
        snapshot = await session.load()
        assert (dict(snapshot), dict(snapshot.props)) == ({}, {"x": 2})
        assert await session.props.remove("x")
        assert snapshot.exists
        assert await session.exists()

    @case
    async def test_remove_tells_whether_any_was_there(self, place: Place) -> None:
        session = (await place.store()).session(ID)
        await session.update(a=1, b=2, c=3)
        assert await session.remove("a", "nothing")
        assert not await session.remove("a", "nothing")
        assert dict(await session.load()) == {"b": 2, "c": 3}

    @case
    async def test_clear_keeps_what_is_retained_and_what_is_remembered(self, place: Place) -> None:
        session = (await place.store()).session(ID)
        await session.update(a=1, b=2, c=3)
        assert await session.remember("m1")
        assert await session.allow(every=3600)
        await session.clear(retain=["b", "nothing"])
        assert dict(await session.load()) == {"b": 2}
        assert not await session.remember("m1")
        assert not await session.allow(every=3600)

    @case
    async def test_increment_adds_to_whole_and_broken_numbers(self, place: Place) -> None:
        session = (await place.store()).session(ID)
        assert await session.increment("n") == 1
        assert await session.increment("n", -3) == -2
        assert _same(await session.increment("n", 0.5), -1.5)
        assert _same(await session.increment("f", 0.25), 0.25)
        assert _same(await session.increment("f", 1), 1.25)
        await session.set("top", 2**63 - 1)
        for name, by in (("top", 1), ("text", 1), ("yes", 1), ("huge", 1), ("largest", 1.7e308)):
            await session.commit(*(operations.setdefault(*pair) for pair in (
                ("text", "1"), ("yes", True), ("huge", 2**64), ("largest", 1.7e308)
            )))  # fmt: skip
            before = await session.load()
            with pytest.raises(WrongType):
                await session.increment(name, by)
            assert dict(await session.load()) == dict(before)
            assert (await session.load()).revision == before.revision

    @case
    async def test_a_list_grows_at_its_end_and_gives_from_both(self, place: Place) -> None:
        session = (await place.store()).session(ID)
        assert await session.append("log", 1, "two", [3]) == 3
        assert await session.append("log", 4, keep=2) == 2
        assert await session.get("log") == [[3], 4]
        assert await session.append("log", 5) == 3
        assert await session.pop("log") == 5
        assert await session.pop("log", first=True) == [3]
        assert await session.pop("log") == 4
        assert await session.pop("log", "empty") == "empty"
        assert await session.get("log") == []
        assert await session.append("log", "x", keep=0) == 0
        await session.set("text", "no list")
        with pytest.raises(WrongType):
            await session.append("text", 1)
        with pytest.raises(WrongType):
            await session.pop("text")
        assert await session.get("text") == "no list"

    @case
    async def test_the_end_of_a_list_can_be_read_alone(self, place: Place) -> None:
        session = (await place.store()).session(ID)
        await session.update(items=[1, "two", 3], text="abc")
        assert await session.get("items", last=2) == ["two", 3]
        assert await session.get("items", last=0) == []
        assert await session.get("items", last=9, type=list) == [1, "two", 3]
        assert await session.get("text", last=1) == "abc"
        assert await session.get("none", [], last=1) == []

    @case
    async def test_take_removes_what_it_returns(self, place: Place) -> None:
        session = (await place.store()).session(ID)
        await session.update(ticket={"seat": 5}, none=None)
        assert await session.take("ticket") == {"seat": 5}
        assert await session.take("ticket", "gone") == "gone"
        assert await session.take("none", "gone") is None
        assert dict(await session.load()) == {}

    @case
    async def test_setdefault_puts_only_what_is_not_there(self, place: Place) -> None:
        session = (await place.store()).session(ID)
        assert await session.setdefault("x", [1]) == [1]
        assert await session.setdefault("x", [2]) == [1]
        await session.set("none", None)
        assert await session.setdefault("none", 1) is None

    @case
    async def test_compare_and_set_changes_only_what_is_as_expected(self, place: Place) -> None:
        session = (await place.store()).session(ID)
        assert not await session.compare_and_set("x", None, 1), "None is no absence"
        assert await session.compare_and_set("x", ABSENT, 1)
        assert not await session.compare_and_set("x", ABSENT, 2)
        assert not await session.compare_and_set("x", 1.0, 2), "1.0 is not 1"
        assert not await session.compare_and_set("x", True, 2), "True is not 1"
        assert await session.compare_and_set("x", 1, {"a": 1})
        assert await session.compare_and_set("x", {"a": 1}, ABSENT)
        assert await session.get("x", "gone") == "gone"

    @case
    async def test_remember_knows_the_most_recent_values_of_each_set(self, place: Place) -> None:
        session = (await place.store()).session(ID)
        assert [await session.remember(value, keep=2) for value in (1, 1, 2, 1, 3, 2, 1)] == [
            True, False, True, False, True, False, True,
        ]  # fmt: skip
        assert await session.remember("1"), "text is no number"
        assert await session.remember(3, name="other")
        assert dict(await session.load()) == {}, "what is remembered is no field"

    @case
    async def test_commit_is_all_or_nothing(self, place: Place) -> None:
        session = (await place.store()).session(ID)
        made = await session.commit(
            operations.set("a", 1),
            operations.increment("a", 2),
            operations.append("log", "x", "y"),
            operations.pop("log", first=True),
            operations.remember("m1"),
            operations.take("a"),
            operations.remove("a"),
            operations.set("p", 1, bag="props"),
        )
        assert made.results == (None, 3, 2, "x", True, 3, False, None)
        assert (dict(made), dict(made.props)) == ({"log": ["y"]}, {"p": 1})
        with pytest.raises(WrongType):
            await session.commit(
                operations.set("new", 1), operations.remember("m2"), operations.increment("log"), clear=["log"]
            )
        after = await session.load()
        assert (dict(after), dict(after.props), after.revision) == ({"log": ["y"]}, {"p": 1}, made.revision)
        assert await session.remember("m2"), "the refused commit remembered its message"

    @case
    async def test_commit_empties_either_bag_except_what_is_retained(self, place: Place) -> None:
        session = (await place.store()).session(ID)
        await session.update(a=1, b=2)
        await session.props.update(a=3, b=4)
        snapshot = await session.commit(operations.set("c", 5, bag="props"), clear_props=["b"])
        assert (dict(snapshot), dict(snapshot.props)) == ({"a": 1, "b": 2}, {"b": 4, "c": 5})
        snapshot = await session.commit(clear=["a"], clear_props=[])
        assert (dict(snapshot), dict(snapshot.props)) == ({"a": 1}, {})
        await session.props.set("a", 3)
        snapshot = await session.commit(operations.set("d", 6), clear=True, clear_props=True)
        assert (dict(snapshot), dict(snapshot.props)) == ({"d": 6}, {})

    @case
    async def test_commit_can_ask_for_no_session_or_for_a_revision(self, place: Place) -> None:
        session = (await place.store()).session(ID)
        first = await session.commit(operations.set("a", 1), if_absent=True)
        with pytest.raises(Conflict):
            await session.commit(operations.set("a", 2), if_absent=True)
        second = await session.commit(operations.set("b", 1), if_revision=first.revision)
        with pytest.raises(Conflict):
            await session.commit(operations.set("b", 2), if_revision=first.revision)
        third = await session.commit(operations.set("c", 1), clear=["b"], if_revision=second.revision)
        assert dict(third) == dict(await session.load()) == {"b": 1, "c": 1}

    @case
    async def test_an_empty_commit_makes_a_session_without_fields(self, place: Place) -> None:
        session = (await place.store()).session(ID)
        made = await session.commit()
        assert made.exists
        assert await session.exists()
        assert dict(await session.load()) == {}

    @case
    async def test_deleted_stays_deleted_and_a_new_one_is_another(self, place: Place) -> None:
        session = (await place.store()).session(ID)
        first = await session.update(a=1)
        with pytest.raises(Conflict):
            await session.delete(if_revision=Revision(first.revision.epoch, first.revision.number + 1))
        assert await session.delete(if_revision=first.revision)
        assert not await session.delete()
        assert not await session.delete(if_revision=first.revision)
        assert not await session.exists()
        assert dict(await session.load()) == {}
        with pytest.raises(Conflict):
            await session.commit(operations.set("a", 2), if_revision=first.revision)
        second = await session.update(b=1)
        assert dict(second) == {"b": 1}
        assert second.revision.epoch > first.revision.epoch
        with pytest.raises(Conflict):
            await session.commit(operations.set("a", 2), if_revision=first.revision)

    @case
    async def test_over_a_limit_nothing_changes(self, place: Place) -> None:
        session = (await place.store()).session(ID)
        await session.update({f"f{index}": index for index in range(200)}, big="x" * 200_000)
        before = await session.load()
        too_much: tuple[dict[str, Any], ...] = (
            {f"g{index}": index for index in range(100)},
            {"other": "x" * 70_000},
            {"n" * 129: 1},
        )
        for fields in too_much:
            with pytest.raises(TooLarge):
                await session.update(fields)
        after = await session.load()
        assert (dict(after), after.revision) == (dict(before), before.revision)
        assert dict(await session.update(small=1)) == {**before, "small": 1}

    @case
    async def test_what_is_handed_in_or_out_is_a_copy(self, place: Place) -> None:
        session = (await place.store()).session(ID)
        put = {"list": [1]}
        await session.set("x", put)
        put["list"].append(2)
        snapshot = await session.load()
        snapshot["x"]["list"].append(3)
        (await session.get("x"))["list"].append(4)
        assert snapshot["x"] == {"list": [1]}
        assert await session.get("x") == {"list": [1]}
