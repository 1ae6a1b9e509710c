"""The awaited manager, and that the blocking one repeats it: same names, parameters and docstrings."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

import gridsession
from gridsession import errors
from gridsession.dialects.jawce import DEFAULT_PROP_KEY, AsyncSessionManager, ISessionManager, SessionManager

RENAMED = {"aclose": "close"}
COLOURED = {"gridsession.SessionStore": "sync.SessionStore"}


def _public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def _parameters(kind: type, name: str) -> list[tuple[Any, ...]]:
    member = getattr(kind, name)
    function = member.fget if isinstance(member, property) else member
    return [
        (p.name, p.kind, repr(p.default), str(p.annotation)) for p in inspect.signature(function).parameters.values()
    ]


def test_the_blocking_manager_has_the_same_names_parameters_and_docstrings() -> None:
    assert {RENAMED.get(name, name) for name in _public(AsyncSessionManager)} == _public(SessionManager)
    for name in _public(AsyncSessionManager) - {"DEFAULT_PROP_KEY"}:
        twin = RENAMED.get(name, name)
        original, repeated = getattr(AsyncSessionManager, name), getattr(SessionManager, twin)
        assert _parameters(SessionManager, twin) == _parameters(AsyncSessionManager, name), name
        assert inspect.getdoc(repeated) == inspect.getdoc(original), name
        assert type(repeated) is type(original)
    ours, theirs = (inspect.signature(kind.__init__) for kind in (SessionManager, AsyncSessionManager))
    assert list(ours.parameters) == list(theirs.parameters)


def test_it_takes_the_arguments_of_the_interface() -> None:
    for name in _public(ISessionManager):
        asked = [parameter[0] for parameter in _parameters(ISessionManager, name)]
        assert [parameter[0] for parameter in _parameters(SessionManager, name)] == asked, name
    assert ISessionManager.__abstractmethods__ == _public(ISessionManager)
    assert not SessionManager.__abstractmethods__


async def test_awaited_it_does_the_same() -> None:
    async with AsyncSessionManager("memory://", user_ttl=60, global_ttl=60) as manager:
        user = manager.session("1")
        assert user is manager.session("1")
        await user.save("stage", "MENU")
        await manager.save_all("1", {"n": "5"})
        await user.save_prop("name", "Tino")
        await user.save_global("rate", "36.5")
        assert await user.get("n", int) == 5
        assert await user.get("1", "stage") == await manager.get("1", "stage", lambda stage: stage) == "MENU"
        assert await user.get_from_props("name") == "Tino"
        assert await manager.get_global("rate", float) == 36.5
        assert await user.fetch_all() == {"stage": "MENU", "n": "5", DEFAULT_PROP_KEY: {"name": "Tino"}}
        assert await user.fetch_all(True) == {"rate": "36.5"}
        assert await user.key_in_session("rate")
        assert not await user.key_in_session("rate", False)
        await user.evict("n")
        await user.clear(["stage"])
        assert await user.fetch_all() == {"stage": "MENU", DEFAULT_PROP_KEY: {"name": "Tino"}}
        assert (await user.evict_prop("name"), await user.evict_prop("name")) == (True, False)
        await user.clear()
        assert await user.fetch_all() == {}
        assert (await user.remember("m"), await user.remember("m")) == (True, False)
        assert (await user.allow("a", every=60), await user.allow("a", every=60)) == (True, False)
        await user.evict_global("rate")
        await user.clear_global()
        with pytest.raises(errors.InvalidValue):
            await user.save("stage", object())


async def test_awaited_it_connects_at_first_use_once_for_all_who_wait() -> None:
    manager = AsyncSessionManager("memory://")
    await asyncio.gather(*(manager.save("1", f"k{number}", number) for number in range(20)))
    assert len(await manager.fetch_all("1")) == 21
    await manager.aclose()
    await manager.aclose()
    with pytest.raises(errors.StoreClosed, match="the session manager is closed"):
        await manager.session("1").get("k1")


async def test_awaited_it_leaves_a_store_that_was_handed_in_open() -> None:
    async with gridsession.SessionStore.open("memory://") as store:
        async with AsyncSessionManager(store) as manager:
            await manager.save("1", "key", 1)
        assert await store.session("whatsapp-cloud:1").get("key") == 1
        assert await store.session("whatsapp-cloud:1").props.get("key") is None
        assert [session_id async for session_id in store.ids()] == ["whatsapp-cloud:1"]
