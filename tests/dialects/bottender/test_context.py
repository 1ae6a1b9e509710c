"""`context.state` and its verbs, `context.session`, and what is saved, as Bottender documents it."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import datetime as dt
import json
import threading
import warnings
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest

from gridsession import SessionStore
from gridsession.dialects.bottender import Context, Sessions
from gridsession.drivers.memory import MemoryDriver
from gridsession.errors import InvalidValue, UsageError
from gridsession.testing.local_grid import LocalGrid

Make = Callable[..., Sessions]
ID = "line:U4af4980629"


def from_user(user: str = "U4af4980629", text: str = "Hi") -> dict[str, Any]:
    """A LINE message of one user."""
    return {"type": "message", "source": {"type": "user", "userId": user}, "message": {"type": "text", "text": text}}


WITHOUT_SESSION: dict[str, Any] = {"type": "accountLink"}


@pytest.fixture(params=["memory", pytest.param("grid", marks=pytest.mark.grid)])
def make(request: pytest.FixtureRequest, namespace: str) -> Make:
    """Makes `Sessions` over one place: two of them share its sessions."""
    place: object = MemoryDriver()
    if request.param == "grid":
        grid: LocalGrid = request.getfixturevalue("grid")
        place = f"{grid.url}?namespace={namespace}"
    return lambda **options: Sessions.over(place, **options)


async def saved(sessions: Sessions, session_id: str = ID) -> Any:
    """What stands in the store, as Bottender's stores give it."""
    return await sessions.store.read(session_id)


# --- state ------------------------------------------------------------------------------------------------------------


async def test_state_is_empty_where_no_initial_state_is_given(make: Make) -> None:
    async with make() as sessions, sessions.context("line", from_user()) as context:
        assert context.state == {}
        assert context.initial_state == {}


async def test_a_new_session_begins_with_a_copy_of_the_initial_state(make: Make) -> None:
    initial = {"count": 0, "cart": {"items": []}}
    async with make(initial_state=initial) as sessions:
        initial["cart"]["items"].append("put in later")  # type: ignore[index]  # a dict in there
        async with sessions.context("line", from_user()) as context:
            assert context.state == context.initial_state == {"count": 0, "cart": {"items": []}}
            context.set_state({"cart": {"items": ["tea"]}})
        async with sessions.context("line", from_user("U2")) as context:
            assert context.state == {"count": 0, "cart": {"items": []}}
        assert (await saved(sessions))["_state"] == {"count": 0, "cart": {"items": ["tea"]}}


async def test_new_keys_of_the_initial_state_reach_new_sessions_only(make: Make) -> None:
    async with make(initial_state={"a": 1}) as sessions, sessions.context("line", from_user()):
        pass
    async with make() as sessions, sessions.context("line", from_user("U2")):
        pass
    async with make(initial_state={"a": 2, "b": 2}) as sessions:
        async with sessions.context("line", from_user()) as context:
            assert context.state == {"a": 1}
        async with sessions.context("line", from_user("U2")) as context:
            assert context.state == {}
        async with sessions.context("line", from_user("U3")) as context:
            assert context.state == {"a": 2, "b": 2}


async def test_set_state_merges_shallow_and_shows_at_once(make: Make) -> None:
    async with make(initial_state={"a": 1, "b": {"x": 1, "y": 2}}) as sessions:
        async with sessions.context("line", from_user()) as context:
            before = context.state
            context.set_state({"a": 3})
            assert context.state == {"a": 3, "b": {"x": 1, "y": 2}}
            assert before == {"a": 1, "b": {"x": 1, "y": 2}}
            context.set_state({"b": {"x": 9}}, c=[1])
            context.setState({"d": None})
            assert context.state == {"a": 3, "b": {"x": 9}, "c": [1], "d": None}
        assert (await saved(sessions))["_state"] == {"a": 3, "b": {"x": 9}, "c": [1], "d": None}


async def test_a_deeper_merge_is_written_out(make: Make) -> None:
    async with make(initial_state={"my_object": {"kept": [1]}}) as sessions:
        async with sessions.context("line", from_user()) as context:
            context.set_state({"my_object": {**context.state["my_object"], "key": "value"}})
        async with sessions.context("line", from_user()) as context:
            assert context.state == {"my_object": {"kept": [1], "key": "value"}}


async def test_what_was_given_to_set_state_is_copied(make: Make) -> None:
    cart = {"items": ["tea"]}
    async with make() as sessions:
        async with sessions.context("line", from_user()) as context:
            context.set_state({"cart": cart})
            cart["items"].append("later")
            assert context.state == {"cart": {"items": ["tea"]}}
        assert (await saved(sessions))["_state"] == {"cart": {"items": ["tea"]}}


async def test_reset_state_makes_it_a_copy_of_the_initial_state_again(make: Make) -> None:
    async with make(initial_state={"count": 0, "list": [0]}) as sessions:
        async with sessions.context("line", from_user()) as context:
            context.set_state({"count": 5, "more": 1, "list": [5]})
        async with sessions.context("line", from_user()) as context:
            context.reset_state()
            assert context.state == {"count": 0, "list": [0]}
        assert (await saved(sessions))["_state"] == {"count": 0, "list": [0]}
        async with sessions.context("line", from_user("U2")) as context:
            context.set_state({"list": [7]})
            context.resetState()
            assert context.state == context.initialState == {"count": 0, "list": [0]}
    async with make() as sessions, sessions.context("line", from_user()) as context:
        context.reset_state()
        assert context.state == {}


async def test_a_state_keeps_the_types_of_its_values(make: Make) -> None:
    state = {"price": Decimal("9.50"), "due": dt.date(2026, 1, 2), "tags": {"a"}, "pair": (1, [2]), "raw": b"\0"}
    async with make() as sessions:
        async with sessions.context("line", from_user()) as context:
            context.set_state(state)
            assert context.state == state
        async with sessions.context("line", from_user()) as context:
            assert context.state == state
            context.set_state({"again": context.state["pair"], "tags": context.state["tags"]})
        assert (await saved(sessions))["_state"] == {**state, "again": (1, [2])}


@dataclasses.dataclass
class Address:
    """What a handler may keep in the state: it is stored as its fields."""

    city: str


async def test_an_object_in_the_state_is_a_copy_too() -> None:
    home = Address("Chiang Mai")
    async with Sessions() as sessions:
        async with sessions.context("line", from_user()) as context:
            context.set_state({"home": home})
            home.city = "Bangkok"
            context.state["home"].city = "Phuket"
            assert context.state["home"] != home
        assert (await saved(sessions))["_state"] == {"home": {"city": "Chiang Mai"}}


@pytest.mark.parametrize(
    ("given", "path"),
    [({"a": {"b": [object()]}}, "$.a.b[0]"), ({"": 1}, "$"), ({1: 1}, "$"), ([("a", 1)], "$"), (None, "$")],
    ids=["deep", "no name", "number", "pairs", "none"],
)
async def test_what_cannot_be_stored_is_refused_where_it_is_set(given: Any, path: str) -> None:
    async with Sessions() as sessions:
        async with sessions.context("line", from_user()) as context:
            with pytest.raises(InvalidValue) as caught:
                context.set_state(given)
            assert caught.value.path == path
            assert context.state == {}
        assert (await saved(sessions))["_state"] == {}


async def test_a_value_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    async with Sessions() as sessions, sessions.context("line", from_user()) as context:
        with pytest.raises(InvalidValue, match="contains itself"):
            context.set_state({"a": endless})
        endless.append(endless)  # twice: every level doubles what there is to look at
        with pytest.raises(InvalidValue, match="contains itself"):
            context.set_state({"a": endless})
        with pytest.raises(InvalidValue, match="contains itself"):
            await sessions.store.write(ID, {"_state": {"a": endless}})


@dataclasses.dataclass
class Worker:
    """What cannot even be copied."""

    lock: object


async def test_parts_of_the_event_and_other_mappings_are_kept_as_plain_values(make: Make) -> None:
    event = from_user()
    odd = {"ordered": OrderedDict(a=1), "proxy": MappingProxyType({"b": [1]}), "counts": defaultdict(int, c=1)}
    kept = {"ordered": {"a": 1}, "proxy": {"b": [1]}, "counts": {"c": 1}}
    async with make() as sessions:
        async with sessions.context("line", event) as context:
            assert context.session is not None
            context.set_state(event=context.event, message=context.event.message, who=context.session.user, **odd)
            assert context.state["message"] == event["message"]
            who = dict(context.session.user)
        found = (await saved(sessions))["_state"]
        assert found == {"event": event, "message": event["message"], "who": who, **kept}
        await sessions.store.write("line:U2", {"_state": {"message": context.event.message, **odd}})
        assert (await saved(sessions, "line:U2"))["_state"] == {"message": event["message"], **kept}


@pytest.mark.parametrize("odd", [threading.Lock(), Worker(threading.Lock()), asyncio.Queue(), deque([1])], ids=type)
async def test_what_can_be_neither_stored_nor_copied_is_refused_with_its_place(odd: object) -> None:
    async with Sessions() as sessions, sessions.context("line", from_user()) as context:
        with pytest.raises(InvalidValue) as caught:
            context.set_state({"a": {"b": odd}})
        assert (caught.value.path or "").startswith("$.a.b")


# --- the view is read-only --------------------------------------------------------------------------------------------

STATE: dict[str, Any] = {"dict": {"x": 1}, "list": [3, 1], "set": {1}, "tuple": ([1],)}
CHANGES: dict[str, Callable[[Any], object]] = {
    "state[k] = v": lambda state: state.__setitem__("k", 1),
    "del state[k]": lambda state: state.__delitem__("dict"),
    "state |= {}": lambda state: state.__ior__({"k": 1}),
    "state.clear": lambda state: state.clear(),
    "state.pop": lambda state: state.pop("dict"),
    "state.popitem": lambda state: state.popitem(),
    "state.setdefault": lambda state: state.setdefault("k", 1),
    "state.update": lambda state: state.update(k=1),
    "dict[k] = v": lambda state: state["dict"].__setitem__("k", 1),
    "list[0] = v": lambda state: state["list"].__setitem__(0, 1),
    "list[:] = v": lambda state: state["list"].__setitem__(slice(None), []),
    "del list[0]": lambda state: state["list"].__delitem__(0),
    "list += []": lambda state: state["list"].__iadd__([1]),
    "list *= 2": lambda state: state["list"].__imul__(2),
    "list.append": lambda state: state["list"].append(1),
    "list.clear": lambda state: state["list"].clear(),
    "list.extend": lambda state: state["list"].extend([1]),
    "list.insert": lambda state: state["list"].insert(0, 1),
    "list.pop": lambda state: state["list"].pop(),
    "list.remove": lambda state: state["list"].remove(3),
    "list.reverse": lambda state: state["list"].reverse(),
    "list.sort": lambda state: state["list"].sort(),
    "set.add": lambda state: state["set"].add(2),
    "set.discard": lambda state: state["set"].discard(1),
    "set |= {}": lambda state: state["set"].__ior__({2}),
    "set -= {}": lambda state: state["set"].__isub__({1}),
    "set.update": lambda state: state["set"].update({2}),
    "in a tuple": lambda state: state["tuple"][0].append(2),
}


@pytest.mark.parametrize("set_here", [True, False], ids=["just set", "as read"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
async def test_no_change_in_place_goes_unnoticed(change: Callable[[Any], object], set_here: bool) -> None:
    async with Sessions.over(MemoryDriver(), initial_state={} if set_here else STATE) as sessions:
        async with sessions.context("line", from_user()) as context:
            if set_here:
                context.set_state(STATE)
            for view in (context.state, {} if set_here else context.initial_state):
                if view:
                    with pytest.raises(UsageError, match="set_state"):
                        change(view)
            assert context.state == STATE
        assert (await saved(sessions))["_state"] == STATE


async def test_nor_is_the_state_assigned() -> None:
    async with Sessions() as sessions, sessions.context("line", from_user()) as context:
        with pytest.raises(UsageError, match="set_state"):
            context.state = {"count": 1}  # type: ignore[misc,assignment]  # refused, that is the point
        with pytest.raises(UsageError, match="set_state"):
            context.session["_state"] = {"count": 1}  # type: ignore[index]  # it has a session


async def test_otherwise_the_view_is_a_mapping_like_any_other() -> None:
    made = Sessions.over(MemoryDriver(), initial_state={"a": {"b": [1, {"c": 2}]}})
    async with made as sessions:
        context = sessions.context("line", from_user())
        async with context:
            state = context.state
            assert json.loads(json.dumps(state)) == state == {"a": {"b": [1, {"c": 2}]}}
            assert (list(state), "a" in state, len(state), state.get("x")) == (["a"], True, 1, None)
            assert {**state, "x": 1} == {"a": {"b": [1, {"c": 2}]}, "x": 1} == state | {"x": 1}
            assert state["a"]["b"][1:] == [{"c": 2}]
            mine = state["a"]["b"].copy()
            mine.append("mine")
            for whole in (copy.deepcopy(state), copy.copy(state)):
                assert type(whole) is dict
                whole["a"]["b"].append("a copy's own")
            assert context.state == {"a": {"b": [1, {"c": 2}]}}


# --- without a session, and after it was written ----------------------------------------------------------------------


async def test_without_a_session_set_and_reset_warn_and_do_nothing(make: Make) -> None:
    async with make(initial_state={"count": 0}) as sessions:
        async with sessions.context("line", WITHOUT_SESSION) as context:
            assert context.session is None
            assert context.state == {}
            assert context.last_activity is None
            assert not context.repeated
            for change in (lambda: context.set_state({"count": 1}), context.reset_state):
                with pytest.warns(RuntimeWarning, match="no session") as caught:
                    change()
                assert caught[0].filename == __file__
            assert context.state == {}
        assert await sessions.store.all() == []


async def test_after_the_block_set_and_reset_warn_and_do_nothing(make: Make) -> None:
    async with make(initial_state={"count": 0}) as sessions:
        async with sessions.context("line", from_user()) as context:
            context.set_state({"count": 1})
            assert not context.is_session_written
        assert context.is_session_written
        assert context.isSessionWritten
        assert context.session is not None
        for late in (lambda: context.set_state({"count": 2}), context.reset_state):
            with pytest.warns(RuntimeWarning, match="Did you forget to await") as caught:
                late()
            assert caught[0].filename == __file__
        with pytest.warns(RuntimeWarning, match="Did you forget to await"):
            context.session["late"] = 1
        assert context.state == {"count": 1}
        assert "late" not in await saved(sessions)
        assert (await saved(sessions))["_state"] == {"count": 1}


async def test_a_field_of_the_session_may_be_a_part_of_the_event_and_is_refused_where_it_is_set(make: Make) -> None:
    async with make() as sessions:
        async with sessions.context("line", from_user()) as context:
            assert context.session is not None
            context.session.last = context.event.message
            with pytest.raises(InvalidValue, match=r"\$\.odd"):
                context.session.odd = {"a": [object()]}
        assert (await saved(sessions))["last"] == from_user()["message"]
        assert "odd" not in await saved(sessions)


async def test_a_private_name_is_no_field_of_the_session() -> None:
    """It could be set and never be read again."""
    async with Sessions() as sessions:
        async with sessions.context("line", from_user()) as context:
            assert context.session is not None
            with pytest.raises(UsageError, match=r"context\.session\['_props'\]"):
                context.session._props = {}
            with pytest.raises(UsageError, match=r"context\.session\['_mine'\]"):
                context.session._mine = 1
            context.session["_mine"] = 1
        assert (await saved(sessions))["_mine"] == 1


async def test_before_its_block_a_context_takes_nothing() -> None:
    async with Sessions() as sessions:
        with pytest.raises(UsageError, match="async with"):
            sessions.context("line", from_user()).set_state({"count": 1})


async def test_in_the_block_nothing_warns(make: Make) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with make() as sessions, sessions.context("line", from_user()) as context:
            context.set_state({"count": 1})
            context.reset_state()


async def test_an_exception_writes_nothing(make: Make) -> None:
    async with make(initial_state={"count": 0}) as sessions:
        for _ in range(2):
            with pytest.raises(LookupError):
                async with sessions.context("line", from_user("U2")) as context:
                    context.set_state({"count": 1})
                    raise LookupError
        assert await saved(sessions, "line:U2") is None
        async with sessions.context("line", from_user()):
            pass
        before = await saved(sessions)
        with pytest.raises(LookupError):
            async with sessions.context("line", from_user()) as context:
                context.set_state({"count": 1})
                raise LookupError
        assert await saved(sessions) == before


# --- the session ------------------------------------------------------------------------------------------------------


async def test_id_and_platform_are_read_only(make: Make) -> None:
    async with make() as sessions, sessions.context("line", from_user()) as context:
        assert context.session is not None
        assert (context.session.id, context.session.platform, context.platform) == (ID, "line", "line")
        for name in ("id", "platform", "user", "group", "room", "channel", "team", "page", "type", "lastActivity"):
            with pytest.raises(UsageError, match="read-only"):
                setattr(context.session, name, "mine")
            with pytest.raises(UsageError, match="read-only"):
                context.session[name] = "mine"
        for name in ("id", "_updatedAt", "name"):
            with pytest.raises(UsageError, match="read-only"):
                context.session.user[name] = "mine"


async def test_the_session_is_written_as_bottender_writes_it(make: Make) -> None:
    started = dt.datetime.now(dt.UTC)
    async with make(initial_state={"count": 0}) as sessions:
        async with sessions.context("line", from_user()) as context:
            assert context.session is not None
            assert context.session.last_activity is None
        found = await saved(sessions)
        assert dict(context.session) == found
        assert json.loads(json.dumps(found)) == found
        ended = dt.datetime.now(dt.UTC)
        assert started.timestamp() * 1000 - 1 < found.pop("lastActivity") <= ended.timestamp() * 1000
        updated = dt.datetime.fromisoformat(found["user"].pop("_updatedAt"))
        assert started - dt.timedelta(milliseconds=1) < updated <= ended
        assert found == {
            "id": ID,
            "platform": "line",
            "type": "user",
            "user": {"id": "U4af4980629"},
            "_state": {"count": 0},
        }


async def test_while_it_is_handled_last_activity_is_that_of_the_event_before(make: Make) -> None:
    async with make() as sessions:
        async with sessions.context("line", from_user()):
            pass
        written = (await saved(sessions))["lastActivity"]
        async with sessions.context("line", from_user()) as context:
            assert context.session is not None
            assert context.last_activity == context.session.last_activity == context.session.lastActivity == written
        assert (await saved(sessions))["lastActivity"] >= written


async def test_a_handler_may_keep_fields_of_its_own_in_the_session(make: Make) -> None:
    async with make() as sessions:
        async with sessions.context("line", from_user()) as context:
            assert context.session is not None
            with pytest.raises(AttributeError, match="nickname"):
                _ = context.session.nickname
            context.session.nickname = "Tim"
            context.session["tags"] = ["new"]
            with pytest.raises(UsageError, match="items"):
                context.session.items = []  # type: ignore[method-assign,assignment]  # refused, that is the point
        async with sessions.context("line", from_user()) as context:
            assert context.session is not None
            assert context.session.nickname == context.session["nickname"] == "Tim"
            context.session.tags.append("old")
            assert "nickname" in context.session
            assert context.session.get("missing") is None
            assert context.state == {}
        assert (await saved(sessions))["tags"] == ["new", "old"]


async def test_a_session_written_by_a_store_is_taken_on(make: Make) -> None:
    """What Bottender's importers write is what the context reads."""
    async with make(initial_state={"count": 0}) as sessions:
        session = {"id": ID, "platform": "line", "_state": {"count": 7}, "lastActivity": 1_500_000_000_000, "old": "x"}
        await sessions.store.write(ID, session)
        async with sessions.context("line", from_user()) as context:
            assert context.session is not None
            assert (context.state, context.last_activity, context.session.old) == ({"count": 7}, 1_500_000_000_000, "x")
            context.set_state({"count": context.state["count"] + 1})
        assert (await saved(sessions))["_state"] == {"count": 8}
        await sessions.store.write(ID, {**context.session, "old": "y"})
        async with sessions.context("line", from_user()) as context:
            assert context.session is not None
            assert (context.state, context.session.old) == ({"count": 8}, "y")


async def test_values_are_in_no_repr() -> None:
    async with Sessions.over(MemoryDriver(), initial_state={"pin": "secret-1"}) as sessions:
        context = sessions.context("line", from_user(text="secret-2"))
        async with context:
            for thing in (sessions, context, context.session, sessions.store, context.event, context.event.message):
                assert "secret" not in repr(thing)
            assert ID in repr(context)
            assert ID in repr(context.session)


# --- the event and the request ----------------------------------------------------------------------------------------


async def test_the_event_is_read_by_item_or_by_attribute(make: Make) -> None:
    async with make() as sessions, sessions.context("line", from_user(text="Hello")) as context:
        assert context.event == from_user(text="Hello")
        assert context.event.message.text == context.event["message"]["text"] == "Hello"
        assert "postback" not in context.event
        with pytest.raises(AttributeError, match="postback"):
            _ = context.event.postback
        assert context.event.session_id == ID


async def test_the_request_is_handed_on() -> None:
    request = object()
    async with Sessions() as sessions:
        context: Context = sessions.context("line", from_user(), request_context=request)
        assert context.request_context is context.requestContext is request
        assert sessions.context("line", from_user()).request_context is None


async def test_our_own_api_sees_the_same_session(make: Make) -> None:
    async with make() as sessions:
        async with sessions.context("line", from_user()) as context:
            context.set_state({"count": 1})
        store: SessionStore = sessions.store.sessions
        await store.session(ID).increment("count")
        await store.session(ID).props.set("vip", True)
        async with sessions.context("line", from_user()) as context:
            assert context.state == {"count": 2}
            assert context.session is not None
            assert context.session.vip is True
