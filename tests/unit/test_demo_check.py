"""The demo's verdict must be able to fail: on made-up ends, and with the whole loop over stores that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import islice
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridsession import SessionStore
from gridsession._commands import Command, Commit, Load, NotRemembered, Remember, Set
from gridsession._identity import Space
from gridsession._record import decode_field, encode_field
from gridsession._reply import Reply
from gridsession.cli import main
from gridsession.cli._demo_check import Message, Stored, Verdict, compare, recovery_seconds
from gridsession.cli._demo_platforms import MOST_ID_BYTES, Platforms, WorkerEnded
from gridsession.cli._demo_worker import COUNT, MESSAGES, POLICY, handle, serve
from gridsession.cli._webhooks import stream
from gridsession.cli.demo import judge
from gridsession.drivers.memory import MemoryDriver
from gridsession.platforms import events, message_id

USER = "line:U1"


def message(name: str, sent: float = 0.0, acknowledged: float | None = 1.0, **more: Any) -> Message:
    return Message(USER, name, sent, acknowledged, **{"deliveries": 1, **more})


def faults(verdict: Verdict) -> tuple[int, int, int, int]:
    return verdict.lost, verdict.duplicated, verdict.out_of_order, verdict.foreign


def verdict_on(messages: list[Message], *message_ids: str, count: int | None = None) -> Verdict:
    return compare(messages, {USER: Stored(len(message_ids) if count is None else count, message_ids)})


# --- the comparison --------------------------------------------------------------------------------------------------


def test_what_was_acknowledged_and_stands_once_holds():
    verdict = verdict_on([message("a"), message("b")], "b", "a")
    assert faults(verdict) == (0, 0, 0, 0)
    assert (verdict.sent, verdict.acknowledged, verdict.unknown, verdict.refused) == (2, 2, 0, 0)
    assert verdict.holds


def test_acknowledged_and_missing_is_lost():
    verdict = verdict_on([message("a"), message("b")], "a")
    assert faults(verdict) == (1, 0, 0, 0)
    assert verdict.examples == {"lost": (USER,)}
    assert not verdict.holds


def test_a_session_that_is_gone_lost_all_of_its_messages():
    assert faults(compare([message("a"), message("b")], {})) == (2, 0, 0, 0)


def test_in_the_list_but_not_in_the_count_is_lost():
    assert faults(verdict_on([message("a"), message("b")], "a", "b", count=1)) == (1, 0, 0, 0)


def test_twice_in_the_list_is_duplicated():
    assert faults(verdict_on([message("a"), message("b")], "a", "b", "a", count=2)) == (0, 1, 0, 0)


def test_counted_more_often_than_listed_is_duplicated():
    assert faults(verdict_on([message("a")], "a", count=3)) == (0, 2, 0, 0)


def test_twice_in_list_and_count_is_one_duplicate():
    assert faults(verdict_on([message("a")], "a", "a", count=2)) == (0, 1, 0, 0)


def test_acknowledged_before_another_was_sent_and_standing_after_it_is_out_of_order():
    early, late = message("a", sent=0, acknowledged=1), message("b", sent=2, acknowledged=3)
    assert faults(verdict_on([early, late], "b", "a")) == (0, 0, 1, 0)
    assert faults(verdict_on([early, late], "a", "b")) == (0, 0, 0, 0)


def test_messages_under_way_at_once_may_stand_in_any_order():
    first, second = message("a", sent=0, acknowledged=3), message("b", sent=2, acknowledged=4)
    assert verdict_on([first, second], "b", "a").holds


def test_out_of_order_counts_also_across_what_was_never_acknowledged():
    early, unknown = message("a", sent=0, acknowledged=1), message("b", sent=2, acknowledged=None)
    assert faults(verdict_on([early, unknown], "b", "a")) == (0, 0, 1, 0)


@pytest.mark.parametrize("there", [(), ("b",)])
def test_what_nobody_answered_for_may_be_there_or_not(there):
    verdict = verdict_on([message("a"), message("b", acknowledged=None)], "a", *there)
    assert faults(verdict) == (0, 0, 0, 0)
    assert verdict.unknown == 1


def test_what_nobody_answered_for_is_there_once_at_most():
    assert verdict_on([message("a"), message("b", acknowledged=None)], "a", "b", "b").duplicated == 1


def test_a_message_is_refused_only_if_each_of_its_deliveries_was():
    surely = message("a", acknowledged=None, refused=2, deliveries=2)
    perhaps = message("b", acknowledged=None, refused=1, deliveries=2)
    verdict = verdict_on([surely, perhaps])
    assert (verdict.refused, verdict.unknown) == (1, 1)
    assert faults(verdict_on([surely, perhaps], "a", "b")) == (0, 0, 0, 1)


def test_a_message_of_another_session_is_foreign():
    other = Message("line:U2", "b", 0.0, 1.0, deliveries=1)
    verdict = compare([message("a"), other], {USER: Stored(2, ("a", "b")), "line:U2": Stored(1, ("b",))})
    assert faults(verdict) == (0, 0, 0, 1)


def test_a_run_in_which_nothing_was_acknowledged_does_not_hold():
    assert not verdict_on([message("a", acknowledged=None)]).holds
    assert not compare([], {}).holds


@given(st.permutations(range(8)), st.integers(0, 7), st.data())
def test_one_fault_put_into_a_good_end_is_found(places, place, data):
    # Sent in the order of their numbers, two always under way at once.
    messages = [message(str(number), sent=number, acknowledged=number + 1.5) for number in range(8)]
    good = [str(number) for number in range(8)]
    assert verdict_on(messages, *good).holds
    assert verdict_on(messages, *(name for name in good if name != str(place))).lost == 1
    twice = data.draw(st.integers(0, 8))
    assert verdict_on(messages, *good[:twice], str(place), *good[twice:]).duplicated == 1
    order = [str(number) for number in places]
    disturbed = any(places[one] - places[two] >= 2 for one in range(8) for two in range(one, 8))
    assert bool(verdict_on(messages, *order).out_of_order) == disturbed


def test_recovery_counts_from_the_kill_or_from_the_sending():
    before = message("a", sent=0, acknowledged=9)
    under_way = message("b", sent=8, acknowledged=12)
    later = message("c", sent=20, acknowledged=21.5)
    assert recovery_seconds([before], 10, 30) == 0
    assert recovery_seconds([before, under_way, later], 10, 30) == 2
    assert recovery_seconds([before, later], 10, 30) == 1.5
    assert recovery_seconds([message("d", sent=25, acknowledged=None)], 10, 30) == 5


# --- the whole loop in one process -----------------------------------------------------------------------------------


class Dropping(MemoryDriver):
    """Now and then acknowledges a change and forgets it."""

    changes = 0

    async def execute(self, space: Space, session_id: str, command: Command, **more: Any) -> Reply:
        if isinstance(command, Commit):
            self.changes += 1
            if self.changes % 40 == 0:
                command = replace(command, operations=(), guards=())
        return await super().execute(space, session_id, command, **more)


class Repeating(MemoryDriver):
    """Does not remember which messages were handled, so that what is delivered twice takes effect twice."""

    async def execute(self, space: Space, session_id: str, command: Command, **more: Any) -> Reply:
        if isinstance(command, Load):
            command = replace(command, seen=None)
        if isinstance(command, Commit):
            command = replace(
                command,
                operations=tuple(one for one in command.operations if not isinstance(one, Remember)),
                guards=tuple(one for one in command.guards if not isinstance(one, NotRemembered)),
            )
        return await super().execute(space, session_id, command, **more)


class Reordering(MemoryDriver):
    """Now and then acknowledges a change and lets the session's next one take effect before it."""

    def __init__(self) -> None:
        super().__init__()
        self.changes = 0
        self.held: dict[str, str] = {}

    async def execute(self, space: Space, session_id: str, command: Command, **more: Any) -> Reply:
        if isinstance(command, Commit) and command.operations:
            self.changes += 1
            if session_id in self.held:
                command = self._with_the_held_one_last(command, self.held.pop(session_id))
            elif self.changes % 20 == 0:
                self.held[session_id] = decode_field(_set(command, MESSAGES).raw)[-1]
                rest = tuple(one for one in command.operations if not isinstance(one, Set))
                command = replace(command, operations=rest, guards=())
        return await super().execute(space, session_id, command, **more)

    @staticmethod
    def _with_the_held_one_last(command: Commit, held: str) -> Commit:
        names = [*decode_field(_set(command, MESSAGES).raw), held]
        changed = {COUNT: encode_field(len(names)), MESSAGES: encode_field(names)}
        return replace(
            command,
            operations=tuple(
                replace(one, raw=changed[one.name]) if isinstance(one, Set) else one for one in command.operations
            ),
        )


def _set(command: Commit, name: str) -> Set:
    return next(one for one in command.operations if isinstance(one, Set) and one.name == name)


@contextlib.asynccontextmanager
async def workers(platforms: Platforms, driver: MemoryDriver, count: int = 3) -> AsyncIterator[None]:
    couriers = []
    async with contextlib.AsyncExitStack() as stores, asyncio.TaskGroup() as group:
        for _ in range(count):
            store = SessionStore.open(driver=driver, policy=POLICY, namespace="demo")
            await stores.enter_async_context(store)
            ours, theirs = socket.socketpair()
            group.create_task(serve(store, theirs))
            couriers.append(await platforms.attach(ours))
        yield
        for courier in couriers:
            courier.close()


async def replay(driver: MemoryDriver, bodies: int = 400, users: int = 12) -> tuple[Platforms, Verdict]:
    platforms = Platforms(islice(stream(7, users), bodies), Random(7))
    async with SessionStore.open(driver=driver, namespace="demo") as store:
        async with workers(platforms, driver):
            await platforms.replay(seconds=60, grace=20)
        return platforms, await judge(platforms, store)


async def test_the_loop_over_a_good_store_holds():
    platforms, verdict = await replay(MemoryDriver())
    assert verdict.holds
    assert verdict.sent == verdict.acknowledged >= 400
    assert platforms.redelivered > 0


async def test_the_loop_sees_dropped_updates():
    _, verdict = await replay(Dropping())
    assert verdict.lost > 0
    assert (verdict.duplicated, verdict.out_of_order, verdict.foreign) == (0, 0, 0)
    assert not verdict.holds


async def test_the_loop_sees_repeated_updates():
    _, verdict = await replay(Repeating())
    assert verdict.duplicated > 0
    assert (verdict.lost, verdict.out_of_order, verdict.foreign) == (0, 0, 0)
    assert not verdict.holds


async def test_the_loop_sees_reordered_updates():
    # many sessions, so that few of a session's messages are under way at once
    driver = Reordering()
    _, verdict = await replay(driver, users=60)
    assert verdict.out_of_order > 0
    assert (verdict.duplicated, verdict.foreign) == (0, 0)
    assert verdict.lost <= len(driver.held)
    assert not verdict.holds


# --- the parties -----------------------------------------------------------------------------------------------------


async def test_the_bot_answers_a_message_again_and_counts_it_once():
    platform, body = next(stream(1, 1))
    async with SessionStore.open(driver=MemoryDriver(), policy=POLICY) as store:
        assert await handle(store, platform, body) == await handle(store, platform, body) == [(0, "Count: 1")]
        session_id, event = events(platform, body)[0]
        state = await store.session(session_id).load()
        assert state == {COUNT: 1, MESSAGES: [message_id(platform, event)]}


async def test_a_worker_that_ends_unasked_ends_the_run():
    platforms = Platforms(stream(7, 12), Random(7))
    async with SessionStore.open(driver=MemoryDriver()) as store:
        ours, theirs = socket.socketpair()
        serving = asyncio.create_task(serve(store, theirs))
        courier = await platforms.attach(ours)
        courier._wire.close()
        await serving
        with pytest.raises(WorkerEnded):
            await platforms.replay(seconds=60, grace=20)


async def test_what_a_dead_worker_carried_is_delivered_to_others():
    driver, platforms = MemoryDriver(), Platforms(islice(stream(7, 12), 200), Random(7))
    ours, theirs = socket.socketpair()
    theirs.sendall(b"\x92\x00\x90")  # takes deliveries, and does nothing with them
    mute = await platforms.attach(ours)
    reading, writing = await asyncio.open_connection(sock=theirs)
    async with SessionStore.open(driver=driver, namespace="demo") as store:
        async with workers(platforms, driver), asyncio.TaskGroup() as group:
            group.create_task(platforms.replay(seconds=60, grace=20))
            await reading.readexactly(1000)
            carried = len(mute.carried)
            mute.leaving = True
            writing.close()
        verdict = await judge(platforms, store)
    assert verdict.holds
    assert verdict.acknowledged == verdict.sent
    assert platforms.redelivered >= carried > 0


async def test_a_session_gets_no_more_than_it_can_hold(monkeypatch):
    monkeypatch.setattr("gridsession.cli._demo_platforms.MOST_ID_BYTES", 500)
    assert MOST_ID_BYTES < 262_144
    driver, platforms = MemoryDriver(), Platforms(stream(7, 3), Random(7))
    async with SessionStore.open(driver=driver, namespace="demo") as store:
        async with workers(platforms, driver):
            await platforms.replay(seconds=60, grace=20)
        assert platforms.full == 3
        assert (await judge(platforms, store)).holds


@pytest.mark.parametrize(
    "arguments",
    [
        ["--kill", "cat"],
        ["--kill", "member,member"],
        ["--members", "0"],
        ["--members", "1"],
        ["--users", "0"],
        ["--seconds", "soon"],
        ["--colour"],
    ],
)
def test_a_wrong_call_ends_with_2_before_anything_is_started(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["demo", *arguments])
    assert ended.value.code == 2
    assert capsys.readouterr().out == ""
