"""What a handler sees and what is saved: Opengram's own tests, and those of Telegraf and grammY that say the same."""

from __future__ import annotations

import asyncio
import copy
import datetime as dt
import json
from typing import Any

import pytest

from gridsession import SessionStore
from gridsession.dialects.opengram import SessionData, session
from gridsession.errors import InvalidOption, InvalidSessionId, InvalidValue, UsageError
from tests.dialects.opengram.contexts import Ctx, assign, count, read, update


async def test_three_updates_of_two_users_count_two_and_one(sessions: SessionStore) -> None:
    async with sessions:
        use = session(store=sessions)
        assert [await update(use, Ctx(user), count) for user in (1, 2, 1)] == [1, 1, 2]
        assert await sessions.session("opengram:1:2").get("counter") == 2


async def test_without_a_store_it_is_this_processs_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRIDSESSION_URL", raising=False)
    with pytest.warns(RuntimeWarning, match="memory"):
        use = session()
    async with use:
        assert [await update(use, Ctx(user), count) for user in (1, 2, 1)] == [1, 1, 2]


async def test_the_default_store_can_be_named_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("GRIDSESSION_URL", f"file://{tmp_path}")
    async with session() as use:
        await update(use, Ctx(), count)
    async with session() as another:
        assert await update(another, Ctx(), count) == 2


async def test_what_next_returns_is_returned_and_it_may_be_async(sessions: SessionStore) -> None:
    async with sessions:
        use, ctx = session(store=sessions), Ctx()

        async def handler() -> str:
            await asyncio.sleep(0)
            ctx.session["a"] = 1
            return "done"

        assert await use(ctx, handler) == "done"
        assert await update(use, Ctx(), read) == {"a": 1}


# --- without a key ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("user", "chat"), [(1, None), (None, 2), (None, None)])
async def test_without_a_key_the_property_raises_and_the_handler_goes_on(
    sessions: SessionStore, user: int | None, chat: int | None
) -> None:
    def handler(ctx: Any) -> str:
        with pytest.raises(UsageError, match="no session"):
            ctx.session  # noqa: B018 - reading it is what is tested
        with pytest.raises(UsageError, match="no session"):
            ctx.session = {"a": 1}
        return "went on"

    async with sessions:
        assert await update(session(store=sessions), Ctx(user, chat), handler) == "went on"
        assert [one async for one in sessions.ids()] == []


async def test_an_error_that_is_not_caught_is_the_handlers(sessions: SessionStore) -> None:
    async with sessions:
        with pytest.raises(UsageError, match="'session'"):
            await update(session(store=sessions), Ctx(None), count)


@pytest.mark.parametrize("nothing", [None, "", 0, False])
async def test_a_key_function_may_give_nothing(nothing: object) -> None:
    async with session(lambda ctx: nothing, store="memory://") as use:
        assert await update(use, Ctx(), lambda ctx: "went on") == "went on"


@pytest.mark.parametrize(("key", "error"), [(1.5, InvalidOption), (True, InvalidOption), ("a\0b", InvalidSessionId)])
async def test_a_key_that_names_nothing_is_refused(key: object, error: type[Exception]) -> None:
    async with session(lambda ctx: key, store="memory://") as use:
        with pytest.raises(error):
            await update(use, Ctx(), lambda ctx: pytest.fail("the handler ran"))


async def test_a_key_function_may_be_async_and_give_numbers(sessions: SessionStore) -> None:
    async def of_chat(ctx: Any) -> int:
        await asyncio.sleep(0)
        return int(ctx.chat.id)

    async with sessions:
        use = session(of_chat, store=sessions)
        assert [await update(use, Ctx(user, 7), count) for user in (1, 2)] == [1, 2]
        assert [one async for one in sessions.ids()] == ["opengram:7"]


async def test_a_key_is_never_split(sessions: SessionStore) -> None:
    async with sessions:
        keys = ["a:b", "a", "opengram:a:b", "a:b ", "A:b", "/", "a%3Ab", "\u00e9", "e\u0301"]
        use = session(lambda ctx: ctx.from_.id, store=sessions)
        for key in keys:
            assert await update(use, Ctx(key), count) == 1  # type: ignore[arg-type]
        assert {one async for one in sessions.ids()} == {f"opengram:{key}" for key in keys}


# --- the session object ----------------------------------------------------------------------------------------------


async def test_fields_are_attributes_and_items(sessions: SessionStore) -> None:
    def handler(ctx: Any) -> None:
        one = ctx.session
        assert isinstance(one, SessionData)
        assert one.missing is None
        assert "missing" not in one
        with pytest.raises(KeyError):
            one["missing"]
        one.a = 1
        one["b"] = {"list": [1]}
        one["_c"], one["items"] = 3, [4]
        assert (one["a"], one.b, one._c, one["items"], len(one)) == (1, {"list": [1]}, 3, [4], 4)
        del one.a
        with pytest.raises(AttributeError):
            del one.a
        assert one == {"b": {"list": [1]}, "_c": 3, "items": [4]}

    async with sessions:
        use = session(store=sessions)
        await update(use, Ctx(), handler)
        assert await update(use, Ctx(), read) == {"b": {"list": [1]}, "_c": 3, "items": [4]}


def odd_names(one: Any) -> None:
    """Names that cannot be fields this way."""
    for name in ("items", "get", "__deepcopy__", "__held__"):
        with pytest.raises(UsageError, match=name):
            setattr(one, name, 1)
    with pytest.raises(InvalidValue):
        one[5] = 1
    with pytest.raises(AttributeError):
        one.__json__  # noqa: B018 - as libraries probe for it


async def test_names_of_the_session_itself_are_not_hidden_by_fields() -> None:
    async with session(store="memory://") as use:
        await update(use, Ctx(), lambda ctx: odd_names(ctx.session))
        assert await update(use, Ctx(), read) == {}


async def test_what_is_nested_is_changed_in_place_and_saved(sessions: SessionStore) -> None:
    async with sessions:
        use = session(store=sessions)
        await update(use, Ctx(), lambda ctx: ctx.session.update(cart=[], user={"name": "Ploy"}))
        await update(use, Ctx(), lambda ctx: ctx.session.cart.append({"tea": 2}))
        await update(use, Ctx(), lambda ctx: ctx.session.user.update(vip=True))
        assert await update(use, Ctx(), read) == {"cart": [{"tea": 2}], "user": {"name": "Ploy", "vip": True}}


async def test_dates_and_bytes_come_back_as_they_went(sessions: SessionStore) -> None:
    value = {"at": dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC), "raw": b"\0\xff", "n": 2**70, "set": {1}, "none": None}
    async with sessions:
        use = session(store=sessions)
        await update(use, Ctx(), assign(value))
        assert await update(use, Ctx(), read) == value


async def test_a_copy_is_a_plain_dict_and_a_repr_holds_no_values() -> None:
    def handler(ctx: Any) -> None:
        ctx.session = {"secret": ["hunter2"]}
        kept = copy.deepcopy(ctx.session)
        assert type(kept) is dict
        assert json.dumps(kept) == '{"secret": ["hunter2"]}'
        kept["secret"].append("changed")
        assert ctx.session.secret == ["hunter2"]
        assert "secret" in repr(ctx.session)
        assert "hunter2" not in repr(ctx.session)

    async with session(store="memory://") as use:
        await update(use, Ctx(), handler)


# --- replacing and deleting ------------------------------------------------------------------------------------------


async def test_assigning_an_object_replaces_by_a_copy(sessions: SessionStore) -> None:
    fresh = {"b": 2}

    def handler(ctx: Any) -> None:
        before = ctx.session
        ctx.session = fresh
        ctx.session.c = 3
        assert before is ctx.session
        assert fresh == {"b": 2}

    async with sessions:
        use = session(store=sessions)
        await update(use, Ctx(), assign({"a": 1}))
        await update(use, Ctx(), handler)
        assert await update(use, Ctx(), read) == {"b": 2, "c": 3}


async def test_assigning_none_deletes(sessions: SessionStore) -> None:
    def handler(ctx: Any) -> None:
        before = ctx.session
        ctx.session = None
        assert ctx.session is None
        assert dict(before) == {}
        with pytest.raises(UsageError, match="deleted"):
            before.a = 2

    async with sessions:
        use, one = session(store=sessions), sessions.session("opengram:1:2")
        await update(use, Ctx(), assign({"a": 1}))
        assert await one.exists()
        await update(use, Ctx(), handler)
        assert not await one.exists()
        await update(use, Ctx(), assign(None))
        assert not await one.exists()
        assert await update(use, Ctx(), count) == 1


async def test_what_is_assigned_after_none_is_a_session_again(sessions: SessionStore) -> None:
    def handler(ctx: Any) -> None:
        ctx.session = None
        ctx.session = {}
        ctx.session.b = 2

    async with sessions:
        use = session(store=sessions)
        await update(use, Ctx(), assign({"a": 1}))
        await update(use, Ctx(), handler)
        assert await update(use, Ctx(), read) == {"b": 2}


async def test_none_may_leave_an_empty_session_as_theirs_does(sessions: SessionStore) -> None:
    def handler(ctx: Any) -> None:
        ctx.session = None
        assert ctx.session == {}

    async with sessions:
        use = session(store=sessions, none="empty")
        await update(use, Ctx(), assign({"a": 1}))
        await update(use, Ctx(), handler)
        assert await sessions.session("opengram:1:2").exists()
        assert await update(use, Ctx(), read) == {}


@pytest.mark.parametrize("value", [5, "text", [("a", 1)], object()])
async def test_a_session_is_no_other_value(sessions: SessionStore, value: object) -> None:
    async with sessions:
        use = session(store=sessions)
        await update(use, Ctx(), count)
        with pytest.raises(InvalidValue, match="mapping"):
            await update(use, Ctx(), assign(value))
        assert await update(use, Ctx(), read) == {"counter": 1}


# --- errors, and use after the end -----------------------------------------------------------------------------------


async def test_when_a_handler_fails_nothing_is_saved(sessions: SessionStore) -> None:
    def fails(ctx: Any) -> None:
        ctx.session.counter = 100
        ctx.session.nested.append(1)
        raise ZeroDivisionError

    async with sessions:
        use = session(store=sessions)
        await update(use, Ctx(), assign({"counter": 1, "nested": []}))
        with pytest.raises(ZeroDivisionError):
            await update(use, Ctx(), fails)
        # And the session is free at once.
        assert await update(use, Ctx(), read) == {"counter": 1, "nested": []}


async def test_what_cannot_be_stored_is_refused_with_its_path(sessions: SessionStore) -> None:
    async with sessions:
        use = session(store=sessions)
        with pytest.raises(InvalidValue) as refused:
            await update(use, Ctx(), assign({"a": 1, "cart": [{"price": object()}]}))
        assert refused.value.path == "$.cart[0].price"
        assert await update(use, Ctx(), read) == {}


async def test_use_after_the_update_warns_and_saves_nothing(sessions: SessionStore) -> None:
    async with sessions:
        use, ctx = session(store=sessions), Ctx()
        await update(use, ctx, count)
        late = ctx.session  # type: ignore[attr-defined]
        with pytest.warns(RuntimeWarning, match="promise chain"):
            late.counter = 50
        with pytest.warns(RuntimeWarning, match="await everything"):
            assert late.counter == 1
        with pytest.warns(RuntimeWarning, match="promise chain"):
            ctx.session = {"counter": 60}  # type: ignore[attr-defined]
        assert await update(use, Ctx(), read) == {"counter": 1}


async def test_a_task_nobody_awaits_warns_and_saves_nothing(sessions: SessionStore) -> None:
    ended, tasks = asyncio.Event(), []

    async def late(ctx: Any) -> None:
        await ended.wait()
        ctx.session.counter = 50

    def handler(ctx: Any) -> None:
        count(ctx)
        tasks.append(asyncio.ensure_future(late(ctx)))

    async with sessions:
        use = session(store=sessions)
        await update(use, Ctx(), handler)
        ended.set()
        with pytest.warns(RuntimeWarning, match="promise chain"):
            await tasks[0]
        assert await update(use, Ctx(), read) == {"counter": 1}
