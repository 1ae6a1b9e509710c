"""Hooks and an engine over the session manager: on memory, on the grid, and from two processes."""

from __future__ import annotations

import datetime as dt
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gridsession.dialects.jawce import DEFAULT_PROP_KEY, AsyncSessionManager, HookModel, ISessionManager, SessionManager
from gridsession.errors import UnknownEvent
from gridsession.testing.local_grid import LocalGrid
from tests.dialects.jawce import hooks, workers
from tests.dialects.jawce.engine import LAST_ACTIVITY, NAME, PREVIOUS, STAGE, Engine
from tests.dialects.jawce.webhooks import status, text_message


class _Clock:
    def __init__(self) -> None:
        self.now = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)

    def __call__(self) -> dt.datetime:
        return self.now


# --- hooks ------------------------------------------------------------------------------------------------------------


def test_a_hook_is_handed_the_senders_number_and_session(manager: SessionManager, user: str) -> None:
    manager.session(user).save_prop("name", "Tino")
    manager.save(user, "language", "sn")
    (model,) = HookModel.of_webhook(text_message(user, "wamid.1", "XL"), manager)
    assert (model.session_id, model.message_id) == (user, "wamid.1")
    assert model.session_manager(model.session_id) is manager.session(user)
    assert hooks.choose_size(model) == {"name": "Tino", "size": "XL"}
    assert hooks.checkout(model) == "sn"
    assert manager.fetch_all(user) == {"language": "sn", DEFAULT_PROP_KEY: {"name": "Tino", "usual_size": "XL"}}
    assert "XL" not in repr(model)


def test_a_hook_without_a_message_is_made_by_hand(manager: SessionManager, user: str) -> None:
    model = HookModel(user, manager)
    model.session_manager(model.session_id).save("paid", True)
    assert manager.get(user, "paid", bool) is True
    assert model.message_id is None
    assert model.session_manager("another").bound_to == "another"


def test_a_users_own_manager_serves_hooks_too() -> None:
    class Own(ISessionManager):
        prop_key = "props"

        def session(self, session_id: str) -> ISessionManager:
            return self

    Own.__abstractmethods__ = frozenset()
    own = Own()  # type: ignore[abstract]  # only `session` is called
    assert HookModel("1", own).session_manager("1") is own


async def test_a_hook_may_be_awaited() -> None:
    async with AsyncSessionManager("memory://") as manager:
        (model,) = HookModel.of_webhook(json.dumps(text_message("1", "m")), manager)
        await model.session_manager(model.session_id).save("seen", model.message_id)
        assert await manager.get("1", "seen") == "m"


def test_what_is_no_users_message_is_no_hooks_business(manager: SessionManager, user: str) -> None:
    assert HookModel.of_webhook(status(user), manager) == []
    nobodys = text_message(user, "wamid.1")
    value = nobodys["entry"][0]["changes"][0]["value"]
    del value["contacts"], value["messages"][0]["from"]
    assert HookModel.of_webhook(nobodys, manager) == []
    with pytest.raises(UnknownEvent):
        HookModel.of_webhook({"object": "page"}, manager)


# --- an engine --------------------------------------------------------------------------------------------------------


def test_a_conversation_goes_through_its_stages(manager: SessionManager, user: str) -> None:
    sent: list[tuple[str, str]] = []
    engine = Engine(manager, lambda *answer: sent.append(answer), debounce=0.001)
    stages = []
    for number in range(4):
        # The gate is asked for again until its millisecond is over.
        outcome, attempt = ["too soon"], 0
        while outcome == ["too soon"]:
            outcome, attempt = engine.handle(text_message(user, f"wamid.{number}.{attempt}")), attempt + 1
        stages += outcome
    assert stages == ["START-MENU", "ASK-SIZE", "CONFIRM", "START-MENU"]
    assert sent == [(user, stage) for stage in stages]
    assert (manager.get(user, PREVIOUS), manager.get(user, STAGE)) == ("CONFIRM", "START-MENU")


def test_a_message_delivered_again_is_dropped_and_so_is_one_too_soon_after(manager: SessionManager, user: str) -> None:
    engine = Engine(manager, lambda *answer: None, debounce=600)
    assert engine.handle(text_message(user, "wamid.1")) == ["START-MENU"]
    assert engine.handle(text_message(user, "wamid.1")) == ["repeated"]
    assert engine.handle(text_message(user, "wamid.2")) == ["too soon"]
    assert engine.handle(status(user)) == []
    assert engine.handle(text_message(user + "1", "wamid.1")) == ["START-MENU"]


def test_after_a_silence_the_conversation_starts_anew_and_a_repeated_message_is_still_known(
    manager: SessionManager, user: str
) -> None:
    clock = _Clock()
    engine = Engine(manager, lambda *answer: None, debounce=0.001, inactive_after=180, now=clock)
    manager.save_all(user, {NAME: "Tino", STAGE: "ASK-SIZE", "size": "L", LAST_ACTIVITY: clock().isoformat()})
    clock.now += dt.timedelta(seconds=181)
    assert engine.handle(text_message(user, "wamid.1")) == ["START-MENU"]
    assert manager.fetch_all(user) == {
        NAME: "Tino",
        PREVIOUS: None,
        STAGE: "START-MENU",
        LAST_ACTIVITY: clock().isoformat(),
        DEFAULT_PROP_KEY: {},
    }
    assert engine.handle(text_message(user, "wamid.1")) == ["repeated"]


def test_of_many_threads_one_handles_a_message(manager: SessionManager, user: str) -> None:
    engine = Engine(manager, lambda *answer: None, debounce=600)
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(engine.handle, [text_message(user, "wamid.1")] * 16))
    assert sorted(outcome for (outcome,) in outcomes) == ["START-MENU"] + ["repeated"] * 15


@pytest.mark.grid
def test_a_webhook_delivered_to_two_processes_is_handled_once(grid: LocalGrid, namespace: str) -> None:
    bodies = [text_message(str(number), f"wamid.{number}") for number in range(40)]
    with workers.started(grid.url, namespace, 2) as work:
        outcomes: list[list[list[str]]] = work(workers.handle, bodies)
    sent = [answer for each in outcomes for answer in each[-1]]
    assert sorted(sent) == sorted(f"{number} START-MENU" for number in range(40))
    for number in range(40):
        assert sorted(each[number][0] for each in outcomes) == ["START-MENU", "repeated"]


@pytest.mark.grid
def test_messages_that_come_at_once_to_two_processes_pass_one_debounce(grid: LocalGrid, namespace: str) -> None:
    bodies = [text_message("1", f"wamid.{number}") for number in range(20)]
    with workers.started(grid.url, namespace, 2) as work:
        outcomes: Any = work(workers.handle, bodies)
    assert [answer for each in outcomes for answer in each[-1]] == ["1 START-MENU"]
    said = [became for each in outcomes for (became,) in each[:-1]]
    assert (said.count("START-MENU"), said.count("too soon"), said.count("repeated")) == (1, 19, 20)
