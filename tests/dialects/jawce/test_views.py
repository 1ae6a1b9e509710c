"""The view of one session: its methods take the id or go without it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from decimal import Decimal

import pytest

from gridsession.dialects.jawce import DEFAULT_PROP_KEY, AsyncSessionManager, SessionManager
from gridsession.errors import InvalidSessionId, UsageError


@pytest.fixture
def manager() -> Iterator[SessionManager]:
    with SessionManager("memory://", user_ttl=600) as made:
        yield made


@pytest.fixture
def view(manager: SessionManager) -> SessionManager:
    view = manager.session("1")
    view.save_all({"n": "1", "a": "b"})
    view.save_prop("p", "7")
    manager.save_all("2", {"n": "2", "a": "z"})
    manager.save_prop("2", "p", "8")
    return view


def test_saving(manager: SessionManager, view: SessionManager) -> None:
    view.save("k", 1)
    view.save("2", "k", 2)
    view.save(key="l", data=1)
    view.save("m", data=1)
    view.save(session_id="2", key="l", data=2)
    view.save("2", key="m", data=2)
    view.save_all({"x": 1})
    view.save_all("2", {"x": 2})
    view.save_prop("q", 1)
    view.save_prop("2", "q", 2)
    for number, user in ((1, "1"), (2, "2")):
        found = manager.fetch_all(user)
        assert [found[key] for key in "klmx"] == [number] * 4
        assert found[DEFAULT_PROP_KEY]["q"] == number


def test_reading(view: SessionManager) -> None:
    assert (view.get("n"), view.get("2", "n"), view.get(key="n"), view.get(session_id="2", key="n")) == (*"12", *"12")
    assert (view.get("n", int), view.get("n", t=int), view.get("2", "n", int), view.get("2", "n", t=int)) == (
        *(1, 1),
        *(2, 2),
    )
    assert view.get("n", None) == "1"
    assert view.get("n", lambda text: Decimal(text) / 2) == Decimal("0.5")
    assert view.get("n", list[str] | int) == 1
    assert (view.get_from_props("p", int), view.get_from_props("2", "p", int), view.get_from_props("2", "p")) == (
        *(7, 8),
        "8",
    )
    assert (view.get_user_props(), view.get_user_props("2")) == ({"p": "7"}, {"p": "8"})
    assert view.fetch_all() == {"n": "1", "a": "b", DEFAULT_PROP_KEY: {"p": "7"}}
    assert view.fetch_all("2") == view.fetch_all("2", False) == view.fetch_all(session_id="2")
    view.save_global("g", 1)
    assert view.fetch_all(True) == view.fetch_all(is_global=True) == view.fetch_all("2", is_global=True) == {"g": 1}
    assert (view.get_global("g"), view.get_global("g", str)) == (1, "1")


def test_asking_for_keys(view: SessionManager) -> None:
    view.save_global("g", 1)
    view.save("only", 1)
    assert view.key_in_session("only")
    assert view.key_in_session("g")
    assert not view.key_in_session("g", False)
    assert not view.key_in_session("g", check_global=False)
    assert not view.key_in_session("2", "only")
    assert view.key_in_session("2", "g", True)
    assert not view.key_in_session("2", "g", False)


def test_removing(manager: SessionManager, view: SessionManager) -> None:
    view.evict("2", "a")
    assert manager.get("2", "a") is None
    assert view.get("a") == "b"
    view.evict("a")
    assert view.get("a") is None
    assert (view.evict_prop("p"), view.evict_prop("p"), view.evict_prop("2", "p")) == (True, False, True)
    view.save_all({"x": 1, "y": 2, "z": 3})
    view.evict_all(["x"])
    view.evict_all("2", ["n"])
    assert set(view.fetch_all()) == {"n", "y", "z", DEFAULT_PROP_KEY}
    view.clear(["y"])
    assert set(view.fetch_all()) == {"y", DEFAULT_PROP_KEY}
    view.save_all("2", {"x": 1, "y": 2})
    view.clear("2", ["x"])
    assert set(view.fetch_all("2")) == {"x", DEFAULT_PROP_KEY}
    view.clear("2")
    assert view.fetch_all("2") == {}
    assert view.fetch_all() != {}
    view.clear(retain_keys=["y"])
    view.clear()
    assert view.fetch_all() == {}


def test_remembering(manager: SessionManager, view: SessionManager) -> None:
    assert (view.remember("m"), view.remember("m", keep=5), manager.remember("1", "m")) == (True, False, False)
    assert (view.remember("2", "m"), manager.remember("2", "m")) == (True, False)
    assert (view.allow("gate", every=60), view.allow("1", "gate", every=60)) == (True, False)
    assert view.allow("2", "gate", every=60)


def test_a_missing_id_is_an_error_and_not_this_session(view: SessionManager) -> None:
    nobody = None
    for call in (
        lambda: view.clear(nobody),
        lambda: view.fetch_all(nobody),  # type: ignore[call-overload]  # what is tested
        lambda: view.get(nobody, "n"),  # type: ignore[call-overload]  # same
        lambda: view.save(nobody, "n", 1),  # type: ignore[call-overload]  # same
    ):
        with pytest.raises(InvalidSessionId):
            call()
    assert view.get("n") == "1"


def test_the_manager_itself_is_told_which_session(manager: SessionManager) -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'data'"):
        manager.save("key", 1)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'session_id'"):
        manager.fetch_all()
    with pytest.raises(TypeError, match="unexpected keyword argument 'wrong'"):
        manager.session("1").get("a", wrong=1)  # type: ignore[call-overload]  # what is tested


def test_a_view_is_not_opened_and_closed(manager: SessionManager) -> None:
    view = manager.session("1")
    for wrong in (view.__enter__, view.connect, view.close):
        with pytest.raises(UsageError, match="with the manager it is of"):
            wrong()
    manager.save("1", "still", "open")


async def test_nor_is_one_that_is_awaited() -> None:
    async with AsyncSessionManager("memory://") as manager:
        view = manager.session("1")
        for wrong in (view.__aenter__, view.connect, view.aclose):
            with pytest.raises(UsageError, match="with the manager it is of"):
                await wrong()
        await manager.save("1", "still", "open")


def test_views_that_nobody_holds_are_forgotten(manager: SessionManager) -> None:
    for number in range(1000):
        manager.session(str(number))
    gc.collect()
    assert len(manager._views) == 0


def test_a_view_of_a_users_own_manager_is_one_too() -> None:
    class Audited(SessionManager):
        DEFAULT_PROP_KEY = "jProps"

        def greet(self, name: str) -> str:
            return f"{self.get('greeting')} {name}"

    with Audited("memory://") as manager:
        view = manager.session("1")
        view.save("greeting", "Mhoro")
        view.save_prop("p", 1)
        assert view.greet("Tino") == "Mhoro Tino"
        assert view.fetch_all() == {"greeting": "Mhoro", "jProps": {"p": 1}}
        assert repr(view) == "<Audited bound to '1' over <SessionStore MemoryDriver default (open)>>"
