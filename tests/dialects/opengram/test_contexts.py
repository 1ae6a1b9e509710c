"""Any context: raw updates and a bot's own classes; and the keys found in them."""

from __future__ import annotations

import dataclasses
import re
from abc import ABC
from collections import UserDict
from types import MappingProxyType, SimpleNamespace
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridsession import SessionStore
from gridsession.dialects.opengram import Context, SessionData, session, session_key
from gridsession.errors import UsageError
from tests.dialects.opengram.contexts import Ctx, count, raw, read, update

# --- raw updates -----------------------------------------------------------------------------------------------------


def count_item(ctx: Any) -> int:
    """As `count`, of a mapping."""
    ctx["session"].counter = (ctx["session"].counter or 0) + 1
    counter: int = ctx["session"]["counter"]
    return counter


async def test_a_raw_update_gets_an_item(sessions: SessionStore) -> None:
    async with sessions:
        use = session(store=sessions)
        assert [await update(use, raw(user), count_item) for user in (1, 2, 1)] == [1, 1, 2]
        same = raw()
        assert [await update(use, same, count_item) for _ in range(2)] == [3, 4]


async def test_an_items_session_is_replaced_and_deleted_too(sessions: SessionStore) -> None:
    async with sessions:
        use, ctx = session(store=sessions), raw()
        await update(use, ctx, lambda ctx: ctx.update(session={"a": 1}))
        assert isinstance(ctx["session"], SessionData)
        assert await update(use, raw(), lambda ctx: dict(ctx["session"])) == {"a": 1}
        await update(use, ctx, lambda ctx: ctx.update(session=None))
        assert not await sessions.session("opengram:1:2").exists()


async def test_a_raw_update_without_a_key_has_an_item_that_raises(sessions: SessionStore) -> None:
    def handler(ctx: Any) -> str:
        for use in (lambda: ctx["session"].a, lambda: ctx["session"]["a"], lambda: bool(ctx["session"])):
            with pytest.raises(UsageError, match="no session"):
                use()
        assert repr(ctx["session"]) == "<no session>"
        return "went on"

    async with sessions:
        use, post = session(store=sessions), {"update_id": 1, "channel_post": {"chat": {"id": 2}}}
        assert await update(use, post, handler) == "went on"
        with pytest.raises(UsageError, match="no session"):
            await update(use, post, lambda ctx: ctx.update(session={"a": 1}))
        assert [one async for one in sessions.ids()] == []


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"message": {"from": {"id": 1}, "chat": {"id": -2}}}, "1:-2"),
        ({"edited_message": {"from": {"id": 1}, "chat": {"id": 2}}}, "1:2"),
        ({"callback_query": {"from": {"id": 1}, "message": {"chat": {"id": 2}, "from": {"id": 9}}}}, "1:2"),
        ({"callback_query": {"from": {"id": 1}, "inline_message_id": "x"}}, None),
        ({"my_chat_member": {"from": {"id": 1}, "chat": {"id": 2}}}, "1:2"),
        ({"inline_query": {"from": {"id": 1}, "chat_type": "sender"}}, None),
        ({"channel_post": {"chat": {"id": 2}, "sender_chat": {"id": 2}}}, None),
        ({"poll": {"id": "5"}}, None),
        ({"message_reaction": {"chat": {"id": 2}, "user": {"id": 1}}}, None),
        # Theirs is the key `undefined:2` here, one session of all such users.
        ({"message": {"from": {}, "chat": {"id": 2}}}, None),
        ({}, None),
    ],
)
def test_the_default_key_of_a_raw_update(fields: dict[str, Any], key: str | None) -> None:
    for ctx in ({"update_id": 1, **fields}, MappingProxyType({"update_id": 1, **fields})):
        assert session_key(ctx) == session_key(Context(ctx)) == key


NAMES = st.sampled_from(["message", "callback_query", "inline_query", "my_chat_member", "from", "chat", "id", "user"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.dictionaries(NAMES, JSON, max_size=3))
def test_whatever_a_body_holds_it_has_a_key_of_two_numbers_or_none(body: dict[str, Any]) -> None:
    for ctx in (body, Context(body), {"update_id": 1, **body}):
        key = session_key(ctx)
        assert key is None or re.fullmatch(r"-?\d+:-?\d+", key)


@pytest.mark.parametrize(
    ("ctx", "key"),
    [
        ({"from": {"id": 1}, "chat": {"id": 2}}, "1:2"),
        ({"from": {"id": 1}, "chat": None}, None),
        (SimpleNamespace(from_user=SimpleNamespace(id=1), chat=SimpleNamespace(id=2)), "1:2"),
        (SimpleNamespace(from_user={"id": 1}, chat={"id": 2}), "1:2"),
        (SimpleNamespace(**{"from": SimpleNamespace(id=1)}, chat=SimpleNamespace(id=2)), "1:2"),
        (SimpleNamespace(from_=SimpleNamespace(id="1:2"), chat=SimpleNamespace(id=3)), None),
        (SimpleNamespace(from_=SimpleNamespace(id=True), chat=SimpleNamespace(id=3)), None),
        (SimpleNamespace(from_=SimpleNamespace(), chat=SimpleNamespace(id=2)), None),
        (SimpleNamespace(effective_user=SimpleNamespace(id=1), effective_chat=SimpleNamespace(id=2)), "1:2"),
        (object(), None),
    ],
)
def test_the_default_key_of_other_contexts(ctx: object, key: str | None) -> None:
    assert session_key(ctx) == key


# --- a bot's own classes ---------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Frozen:
    """Refuses to be changed."""

    from_: Any = dataclasses.field(default_factory=lambda: SimpleNamespace(id=1))
    chat: Any = dataclasses.field(default_factory=lambda: SimpleNamespace(id=2))


class Abstract(ABC):  # noqa: B024 - only its metaclass matters
    """A class with a metaclass, and a name of its own for the property."""

    session: Any = None

    def __init__(self) -> None:
        self.from_, self.chat = SimpleNamespace(id=1), SimpleNamespace(id=2)


class Registry:
    """A class that counts its subclasses."""

    subclasses: ClassVar[list[type]] = []

    def __init_subclass__(cls) -> None:
        """Count it."""
        Registry.subclasses.append(cls)

    def __init__(self) -> None:
        self.from_, self.chat = SimpleNamespace(id=1), SimpleNamespace(id=2)


class Slotted:
    """Has room for nothing else."""

    __slots__ = ("chat", "from_")

    def __init__(self) -> None:
        self.from_, self.chat = SimpleNamespace(id=1), SimpleNamespace(id=2)


@pytest.mark.parametrize("kind", [Ctx, Frozen, Abstract, Registry])
async def test_contexts_of_any_class_carry_a_session(kind: type[Any]) -> None:
    async with session(store="memory://") as use:
        same = kind()
        assert [await update(use, ctx, count) for ctx in (same, same, kind())] == [1, 2, 3]
        assert isinstance(same, kind)
    assert not Registry.subclasses


async def test_a_property_is_that_one_contexts_and_not_its_classs() -> None:
    async with session(store="memory://") as use:
        ctx = Ctx()
        await update(use, ctx, count)
        assert hasattr(ctx, "session")
        assert not hasattr(Ctx, "session")
        assert not hasattr(Ctx(), "session")
        assert Abstract.session is None


async def test_a_namespace_carries_a_plain_attribute() -> None:
    def namespace(**fields: Any) -> SimpleNamespace:
        return SimpleNamespace(from_=SimpleNamespace(id=1), chat=SimpleNamespace(id=2), **fields)

    def replace(ctx: Any) -> None:
        ctx.session = {"a": 1}

    def delete(ctx: Any) -> None:
        ctx.session = None

    async with session(store="memory://") as use:
        assert [await update(use, namespace(), count) for _ in range(2)] == [1, 2]
        await update(use, namespace(), replace)
        assert await update(use, namespace(), read) == {"a": 1}
        await update(use, namespace(), delete)
        assert await update(use, namespace(), read) == {}
        keyless = SimpleNamespace()
        with pytest.raises(UsageError, match="no session"):
            await update(use, keyless, count)
        with pytest.raises(UsageError, match="no session"):
            await update(use, keyless, replace)


async def test_what_has_no_room_is_wrapped() -> None:
    async with session(store="memory://") as use:
        with pytest.raises(UsageError, match=r"Context\(update\)"):
            await update(use, Slotted(), count)
        assert [await update(use, Context(Slotted()), count) for _ in range(2)] == [1, 2]


async def test_a_mapping_of_ones_own_gets_an_item() -> None:
    async with session(store="memory://") as use:
        assert [await update(use, UserDict(raw()), count_item) for _ in range(2)] == [1, 2]


async def test_a_wrapped_raw_update_reads_through_and_carries_a_property(sessions: SessionStore) -> None:
    def handler(ctx: Any) -> int:
        assert ctx.message["message_id"] == 1
        assert (ctx.from_["id"], ctx.chat["id"]) == (1, 2)
        with pytest.raises(AttributeError, match="poll"):
            ctx.poll  # noqa: B018 - reading it is what is tested
        return count(ctx)

    async with sessions:
        use = session(store=sessions)
        assert [await update(use, Context(raw()), handler) for _ in range(2)] == [1, 2]
        by_chat = session(lambda ctx: ctx.chat and ctx.chat["id"], store=sessions)
        assert await update(by_chat, Context(raw(user=5)), count) == 1
        with pytest.raises(UsageError, match="no session"):
            await update(by_chat, Context({"update_id": 1, "poll": {"id": "1"}}), count)


async def test_another_property(sessions: SessionStore) -> None:
    def handler(ctx: Any) -> None:
        ctx.my_session_prop.a = 1
        assert not hasattr(ctx, "session")

    async with sessions:
        use = session(property="my_session_prop", store=sessions)
        await update(use, Ctx(), handler)
        assert await sessions.session("opengram:1:2").get("a") == 1


# --- the documents' examples -----------------------------------------------------------------------------------------


def private_inline_too(ctx: Any) -> str | None:
    """The documents' key function: inline queries from the chat with the bot have the private chat's session."""
    if ctx.from_ and ctx.chat:
        return f"{ctx.from_['id']}:{ctx.chat['id']}"
    if ctx.update.get("inline_query", {}).get("chat_type") == "sender":
        return f"{ctx.from_['id']}:{ctx.from_['id']}"
    return None


async def test_an_inline_query_from_the_private_chat_shares_its_session(sessions: SessionStore) -> None:
    def inline(chat_type: str) -> Context:
        return Context({"update_id": 1, "inline_query": {"id": "1", "from": {"id": 1}, "chat_type": chat_type}})

    async with sessions:
        use = session(private_inline_too, store=sessions)
        assert await update(use, Context(raw(1, 1)), count) == 1
        assert await update(use, inline("sender"), count) == 2
        with pytest.raises(UsageError, match="no session"):
            await update(use, inline("group"), count)


async def test_a_session_per_user_and_chat_and_one_per_chat(sessions: SessionStore) -> None:
    both = session(store=sessions)
    per_chat = session(lambda ctx: ctx.chat and f"{ctx.chat.id}", property="chat_session", store=sessions)

    async def handle(ctx: Any) -> None:
        def handler() -> None:
            ctx.session.n = (ctx.session.n or 0) + 1
            ctx.chat_session.n = (ctx.chat_session.n or 0) + 1

        await both(ctx, lambda: per_chat(ctx, handler))

    async with sessions:
        for chat in range(100, 120):
            for user in (1, 2, 1):
                await handle(Ctx(user, chat))
        found = {one: (await sessions.session(one).load())["n"] async for one in sessions.ids("opengram:")}
    expected = {f"opengram:{user}:{chat}": 3 - user for chat in range(100, 120) for user in (1, 2)}
    assert found == expected | {f"opengram:{chat}": 3 for chat in range(100, 120)}
