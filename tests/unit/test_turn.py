"""Turns in detail: what is sent, how a lease is kept and lost, what a message does. On the memory driver."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable

import msgpack
import pytest

from gridsession import LeaseState, Policy, Revision, SessionStore, Turn, _waiting
from gridsession._commands import Command, Commit, Increment, Load, Release, Remember, Remove, Set
from gridsession._identity import Space
from gridsession._record import PROPS, STATE
from gridsession._reply import Reply, Status
from gridsession.drivers.memory import MemoryDriver
from gridsession.errors import (
    CodecError,
    Conflict,
    CorruptRecord,
    GridSessionError,
    InvalidOption,
    InvalidValue,
    Leased,
    LeaseLost,
    StoreClosed,
    TooLate,
    Unsupported,
    UsageError,
)
from gridsession.hooks import Event, LeaseRenewed
from gridsession.testing.clock import ManualClock

ID = "test:1"
SHORT = 0.06
"""Seconds of a lease that renews itself fifty times a second."""


def _commits(sent: list[Command]) -> list[Commit]:
    return [command for command in sent if isinstance(command, Commit)]


def _changed(sent: list[Command]) -> set[tuple[str, int, str]]:
    """What the last commit sent, without values."""
    return {(type(made).__name__, made.bag, made.name) for made in _commits(sent)[-1].operations}


async def _free(store: SessionStore) -> bool:
    try:
        async with store.turn(ID, wait=0):
            return True
    except Leased:
        return False


# --- what is sent ---------------------------------------------------------------------------------------------------


async def test_a_turn_is_two_commands(driver: MemoryDriver, sent: list[Command]) -> None:
    async with SessionStore.open(driver=driver) as store:
        for exclusive in (True, False):
            sent.clear()
            async with store.turn(ID, exclusive=exclusive) as turn:
                turn.state["n"] = turn.state.get("n", 0) + 1
            assert [type(command) for command in sent] == [Load, Commit]
        assert await store.session(ID).get("n") == 2


async def test_only_what_changed_is_sent(driver: MemoryDriver, sent: list[Command]) -> None:
    async with SessionStore.open(driver=driver) as store:
        await store.session(ID).update(same=1, number=1, nested={"a": [1]}, gone=1, flag=True, big="x" * 1000)
        await store.session(ID).props.update(same=1, changed=1)
        async with store.turn(ID) as turn:
            turn.state["same"] = 1
            turn.state["big"] = "x" * 500 + "x" * 500
            turn.state["number"] = 1.0
            turn.state["nested"]["a"].append(2)
            turn.state["flag"] = 1
            del turn.state["gone"]
            turn.state["new"] = None
            turn.props["changed"] = 2
        assert _changed(sent) == {
            ("Set", STATE, "number"),
            ("Set", STATE, "nested"),
            ("Set", STATE, "flag"),
            ("Set", STATE, "new"),
            ("Set", PROPS, "changed"),
            ("Remove", STATE, "gone"),
        }
        snapshot = await store.session(ID).load()
        assert dict(snapshot) == {
            "same": 1, "number": 1.0, "nested": {"a": [1, 2]}, "flag": 1, "big": "x" * 1000, "new": None,
        }  # fmt: skip
        assert type(snapshot["flag"]) is int
        assert dict(snapshot.props) == {"same": 1, "changed": 2}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda found: found.append("d"), id="more"),
        pytest.param(lambda found: found.pop(), id="less"),
        pytest.param(list.reverse, id="turned round"),
        pytest.param(lambda found: found.__setitem__(1, True), id="equal but of another type"),
        pytest.param(lambda found: found.__setitem__(0, "A"), id="another in its place"),
        pytest.param(lambda found: found.append([1]), id="one that can change"),
    ],
)
async def test_a_list_changed_in_place_is_a_change(
    driver: MemoryDriver, sent: list[Command], change: Callable[[list[object]], object]
) -> None:
    wanted: list[object] = ["a", 1, 2.5]
    async with SessionStore.open(driver=driver) as store:
        await store.session(ID).update(plain=wanted, nested=[1, [2]])
        change(wanted)
        async with store.turn(ID) as turn:
            change(turn.state["plain"])
            await turn.commit()
            assert _changed(sent) == {("Set", STATE, "plain")}
            turn.state["nested"][1].append(3)
        assert _changed(sent) == {("Set", STATE, "nested")}
        found = dict(await store.session(ID).load())
    assert repr(found) == repr({"plain": wanted, "nested": [1, [2, 3]]})  # repr: 1 and True are equal


async def test_a_value_put_back_after_a_commit_midway_is_a_change(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        await store.session(ID).update(name="first", nested=[1])
        async with store.turn(ID) as turn:
            first, nested = turn.state["name"], turn.state["nested"]
            turn.state.update(name="second", nested=[2])
            await turn.commit()
            turn.state.update(name=first, nested=nested)
            await turn.commit()
            assert dict(await store.session(ID).load()) == {"name": "first", "nested": [1]}
            await turn.delete()
            turn.state["name"] = first
        assert dict(await store.session(ID).load()) == {"name": "first"}


async def test_a_dict_put_in_place_of_the_state_counts(driver: MemoryDriver, sent: list[Command]) -> None:
    async with SessionStore.open(driver=driver) as store:
        await store.session(ID).update(a=1, b=2)
        async with store.turn(ID) as turn:
            turn.state = {"b": 2, "c": 3}
        assert _changed(sent) == {("Set", STATE, "c"), ("Remove", STATE, "a")}


async def test_a_turn_that_changes_nothing_writes_nothing(driver: MemoryDriver, sent: list[Command]) -> None:
    async with SessionStore.open(driver=driver) as store:
        before = await store.session(ID).update(a=1)
        for exclusive in (True, False):
            sent.clear()
            async with store.turn(ID, exclusive=exclusive) as turn:
                turn.state["b"] = 1
                del turn.state["b"]
            assert _commits(sent) == []
            assert [type(command) for command in sent] == ([Load, Release] if exclusive else [Load])
        assert (await store.session(ID).load()).revision == before.revision
        assert await _free(store)


async def test_a_turn_restarts_the_ttl_and_makes_sessions_by_the_policy(
    driver: MemoryDriver, clock: ManualClock
) -> None:
    async with SessionStore.open(driver=driver, policy=Policy(ttl=60, max_lifetime=3600)) as store:
        for _ in range(3):
            async with store.turn(ID) as turn:
                turn.state["n"] = turn.state.get("n", 0) + 1
            assert await store.session(ID).ttl() == 60
            clock.advance(59)
        assert await store.session(ID).get("n") == 3


async def test_what_was_read_is_ones_own(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        await store.session(ID).update(a=[1])
        async with store.turn(ID, exclusive=False) as one, store.turn(ID, exclusive=False) as two:
            one.state["a"].append(2)
            assert two.state == {"a": [1]}
            one.state.clear()
            one.state["a"] = [1]


# --- all or nothing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError, KeyboardInterrupt, GeneratorExit])
async def test_whatever_is_raised_in_the_block_writes_nothing(
    error: type[BaseException], driver: MemoryDriver, sent: list[Command]
) -> None:
    async with SessionStore.open(driver=driver) as store:
        turn = store.turn(ID, message="m1")
        await turn.__aenter__()
        turn.state["a"] = 1
        await turn.__aexit__(error, error(), None)
        assert _commits(sent) == []
        assert await _free(store)
        async with store.turn(ID, message="m1") as again:
            assert not again.repeated, "the message of a turn that failed counts as handled"


async def test_a_cancelled_task_gives_its_session_back(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        inside = asyncio.Event()

        async def work() -> None:
            async with store.turn(ID) as turn:
                turn.state["a"] = 1
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(work())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await _free(store)
        assert not await store.session(ID).exists()


def _unstorable(turn: Turn) -> None:
    turn.state["a"] = 1
    turn.state["b"] = {"c": object()}


def _nameless(turn: Turn) -> None:
    turn.state[5] = 1  # type: ignore[index]  # on purpose


@pytest.mark.parametrize("spoil", [_unstorable, _nameless])
async def test_a_state_that_cannot_be_stored_writes_nothing_and_frees_the_session(
    spoil: Callable[[Turn], None], driver: MemoryDriver
) -> None:
    async with SessionStore.open(driver=driver) as store:
        with pytest.raises(InvalidValue):
            async with store.turn(ID) as turn:
                spoil(turn)
        assert not await store.session(ID).exists()
        assert await _free(store)


async def test_a_refused_commit_frees_the_session(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        await store.session(ID).set("a", 1)
        with pytest.raises(Conflict):
            async with store.turn(ID) as turn:
                await store.session(ID).set("a", 2)
                turn.state["a"] = 3
        assert await _free(store)
        assert await store.session(ID).get("a") == 2


async def test_a_conflict_is_on_the_fields_this_turn_writes_alone(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        session = store.session(ID)
        await session.update(mine=1, theirs=1)
        async with store.turn(ID, exclusive=False) as turn:
            await session.update(theirs=2)
            await session.props.set("mine", 2)
            turn.state["mine"] = 2
        assert dict(await session.load()) == {"mine": 2, "theirs": 2}
        with pytest.raises(Conflict):
            async with store.turn(ID, exclusive=False) as turn:
                # There and back is another's change too if what stands differs; the same bytes are no change.
                await session.update(mine=3)
                turn.state["mine"] = 3
        async with store.turn(ID, exclusive=False) as turn:
            await session.update(mine=9)
            await session.update(mine=3)
            turn.state["mine"] = 4
        assert await session.get("mine") == 4


async def test_a_session_made_anew_meanwhile_is_another_session(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        session = store.session(ID)
        await session.update(a=1)
        with pytest.raises(Conflict):
            async with store.turn(ID, exclusive=False) as turn:
                await session.delete()
                await session.update(a=1)
                turn.state["b"] = 1
        assert dict(await session.load()) == {"a": 1}


async def test_a_session_that_ended_meanwhile_does_not_rise_again(driver: MemoryDriver, clock: ManualClock) -> None:
    async with SessionStore.open(driver=driver, policy=Policy(ttl=5)) as store:
        await store.session(ID).update(a=1)
        with pytest.raises(Conflict):
            async with store.turn(ID, exclusive=False) as turn:
                clock.advance(5)
                turn.state["b"] = 1
        assert not await store.session(ID).exists()


# --- midway ---------------------------------------------------------------------------------------------------------


async def test_a_commit_midway_is_saved_and_the_session_stays_held(driver: MemoryDriver, sent: list[Command]) -> None:
    async with SessionStore.open(driver=driver) as store:
        session = store.session(ID)
        with pytest.raises(ZeroDivisionError):
            async with store.turn(ID, message="m1") as turn:
                turn.state["step"] = 1
                first = await turn.commit()
                assert first == turn.revision == (await session.load()).revision
                assert await session.get("step") == 1
                assert not await _free(store)
                sent.clear()
                assert await turn.commit() == first
                assert sent == [], "nothing changed since"
                turn.state["step"] = 2
                turn.state["other"] = 1
                assert await turn.commit() == Revision(first.epoch, first.number + 1)
                turn.state["step"] = 3
                raise ZeroDivisionError
        assert dict(await session.load()) == {"step": 2, "other": 1}
        assert await _free(store)
        async with store.turn(ID, message="m1") as turn:
            assert turn.repeated, "the message was remembered with the first of the commits"


async def test_a_shared_turn_can_commit_midway_too(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        async with store.turn(ID, exclusive=False) as turn:
            turn.state["a"] = 1
            await turn.commit()
            del turn.state["a"]
            turn.state["b"] = 1
        assert dict(await store.session(ID).load()) == {"b": 1}


# --- verbs under the token ------------------------------------------------------------------------------------------


async def test_a_turns_own_verbs_take_effect_at_once(driver: MemoryDriver, sent: list[Command]) -> None:
    async with SessionStore.open(driver=driver) as store:
        async with store.turn(ID) as turn:
            assert await turn.session.increment("n") == 1
            assert await store.session(ID).get("n") == 1
            increment = _commits(sent)[-1]
            assert isinstance(increment.operations[0], Increment)
            assert increment.token > 0
            assert turn.session.id == turn.id == ID
            turn.state["a"] = 1
        assert dict(await store.session(ID).load()) == {"n": 1, "a": 1}
        with pytest.raises(Conflict):
            async with store.turn(ID) as turn:
                await turn.session.increment("n")
                turn.state["n"] = 10
        assert await store.session(ID).get("n") == 2


async def test_without_the_lease_a_turns_verbs_fail(driver: MemoryDriver, clock: ManualClock) -> None:
    async with SessionStore.open(driver=driver) as store:
        session = store.session(ID)
        await session.update(a=1)
        turn = store.turn(ID, lease=5)
        await turn.__aenter__()
        clock.advance(5)
        for verb in (
            lambda: turn.session.set("a", 2),
            lambda: turn.session.remember("m1"),
            lambda: turn.session.props.increment("n"),
            turn.session.delete,
            turn.commit,
        ):
            turn.state["b"] = 1
            with pytest.raises(LeaseLost) as lost:
                await verb()
            assert lost.value.session_id == ID
        with pytest.raises(LeaseLost):
            await turn.__aexit__(None, None, None)
        snapshot = await session.load()
        assert (dict(snapshot), dict(snapshot.props)) == ({"a": 1}, {})


# --- the lease ------------------------------------------------------------------------------------------------------


async def test_a_lease_renews_itself_while_the_block_runs() -> None:
    """On the real clock: five renewals, each after a third of the lease, outlast it."""
    renewed: list[LeaseRenewed] = []
    enough = asyncio.Event()

    def hook(event: Event) -> None:
        if isinstance(event, LeaseRenewed):
            renewed.append(event)
            if len(renewed) >= 5:
                enough.set()

    async with SessionStore.open(driver=MemoryDriver(), hooks=[hook]) as store:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(30), store.turn(ID, lease=SHORT) as turn:
            entered = loop.time()
            await enough.wait()
            assert loop.time() - entered > SHORT
            assert not await _free(store), "somebody else got in after the first lease's end"
            turn.state["a"] = 1
        assert await store.session(ID).get("a") == 1
        assert {(event.session_id, event.lost) for event in renewed} == {(ID, False)}
        # Nothing renews any more, and nobody is in the way.
        assert await _free(store)
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_a_lost_lease_is_noticed_and_even_a_turn_without_changes_says_so(
    driver: MemoryDriver, clock: ManualClock
) -> None:
    lost = asyncio.Event()

    def hook(event: Event) -> None:
        if isinstance(event, LeaseRenewed) and event.lost:
            lost.set()

    async with SessionStore.open(driver=driver, hooks=[hook]) as store:
        with pytest.raises(LeaseLost):
            async with asyncio.timeout(30), store.turn(ID, lease=SHORT):
                clock.advance(SHORT)
                await lost.wait()


async def test_a_lease_ends_by_itself_when_its_holder_is_gone(driver: MemoryDriver, clock: ManualClock) -> None:
    async with SessionStore.open(driver=driver, policy=Policy(lease=7)) as store:
        gone = store.turn(ID)
        await gone.__aenter__()
        clock.advance(6.999)
        assert not await _free(store)
        clock.advance(0.001)
        async with store.turn(ID, wait=0) as turn:
            turn.state["a"] = 1
        with pytest.raises(LeaseLost):
            gone.state["a"] = 2
            await gone.__aexit__(None, None, None)
        assert await store.session(ID).get("a") == 1


async def test_who_holds_and_who_waits_is_told_until_it_is_over(driver: MemoryDriver, clock: ManualClock) -> None:
    def moment(milliseconds: int) -> dt.datetime:
        return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC)

    async with SessionStore.open(driver=driver) as store:
        session = store.session(ID)
        assert await session.lease() == LeaseState()
        began = clock()
        async with store.turn(ID, lease=30):
            clock.advance(1)
            waiter = asyncio.create_task(store.turn(ID, wait=60).__aenter__())
            while not driver._waiting:
                await asyncio.sleep(0)
            held = await session.lease()
            assert (held.owner, held.waiting) == (driver.owner, (driver.owner,))
            assert (held.since, held.until, held.token) == (moment(began), moment(began + 30_000), began)
            clock.advance(29)
            ended = await session.lease()
            assert (ended.owner, ended.since, ended.until, ended.token) == (None, None, None, 0)
            waiter.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiter
        assert await session.lease() == LeaseState()
        assert not await session.exists()


async def test_waiters_are_told_how_long_and_where(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver, policy=Policy(wait=0, lease=30)) as store, store.turn(ID):
        with pytest.raises(Leased) as told:
            async with store.turn(ID):
                pass
        assert (told.value.retry_after, told.value.place, told.value.session_id) == (30.0, 1, ID)


@pytest.mark.parametrize("same_store", [True, False])
async def test_the_next_in_the_queue_is_woken(
    same_store: bool, driver: MemoryDriver, sent: list[Command], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asking by itself is out of reach: only being told can let it in."""
    monkeypatch.setattr(_waiting, "_TOLD_PAUSE", 60.0)
    async with SessionStore.open(driver=driver) as one, SessionStore.open(driver=driver) as another:
        waiting = one if same_store else another

        async def wait() -> None:
            async with waiting.turn(ID, wait=30) as turn:
                turn.state["entered"] = True

        async with one.turn(ID):
            waiter = asyncio.create_task(wait())
            while not driver._waiting:
                await asyncio.sleep(0)
            asked = len(sent)
            for _ in range(100):
                await asyncio.sleep(0)
            assert len(sent) == asked, "it asks again and again"
        async with asyncio.timeout(10):
            await waiter
        assert not driver._waiting
        assert await one.session(ID).get("entered")


# --- messages -------------------------------------------------------------------------------------------------------


async def test_a_message_is_remembered_in_the_same_commit_as_its_changes(
    driver: MemoryDriver, sent: list[Command]
) -> None:
    async with SessionStore.open(driver=driver) as store:
        async with store.turn(ID, message="m1") as turn:
            assert not turn.repeated
            turn.state["n"] = 1
        kinds = [type(made) for made in _commits(sent)[-1].operations]
        assert kinds == [Set, Remember]
        assert len(_commits(sent)) == 1


async def test_a_message_without_changes_is_remembered_too(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        repeated = []
        for message in (17, 17, "17", ("chat", 17), ("chat", 17)):
            async with store.turn(ID, message=message) as turn:
                repeated.append(turn.repeated)
        assert repeated == [False, True, False, False, True]


async def test_a_message_whose_turn_deletes_is_remembered_by_an_empty_session(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        await store.session(ID).set("a", 1)
        for repeated in (False, True):
            async with store.turn(ID, message="m1") as turn:
                assert (turn.repeated, turn.state) == (repeated, {} if repeated else {"a": 1})
                if not turn.repeated:
                    await turn.delete()
        assert await store.session(ID).exists()


async def test_a_repeated_message_may_still_change_the_session(driver: MemoryDriver, sent: list[Command]) -> None:
    async with SessionStore.open(driver=driver) as store:
        for _ in range(2):
            async with store.turn(ID, message="m1") as turn:
                turn.state["deliveries"] = turn.state.get("deliveries", 0) + 1
        assert await store.session(ID).get("deliveries") == 2
        assert [type(made) for made in _commits(sent)[-1].operations] == [Set]


async def test_remember_does_not_speak_for_a_turn(driver: MemoryDriver) -> None:
    """A bot that asks `remember` first and then holds a turn for the same message must not drop every message."""
    async with SessionStore.open(driver=driver) as store:
        assert await store.session(ID).remember("m1")
        async with store.turn(ID, message="m1") as turn:
            assert not turn.repeated
        async with store.turn(ID, message="m1") as turn:
            assert turn.repeated


async def test_as_many_messages_are_remembered_as_the_policy_says(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver, policy=Policy(keep_messages=2)) as store:
        for number in range(3):
            async with store.turn(ID, message=number):
                pass
        for number, repeated in ((2, True), (1, True), (0, False)):
            async with store.turn(ID, message=number, exclusive=False) as turn:
                assert turn.repeated is repeated


async def test_a_message_delivered_twice_at_once_takes_effect_once(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        repeated: list[bool] = []

        async def deliver() -> None:
            async with store.turn(ID, message="m1") as turn:
                repeated.append(turn.repeated)
                if not turn.repeated:
                    turn.state["n"] = turn.state.get("n", 0) + 1

        await asyncio.gather(*(deliver() for _ in range(8)))
        assert sorted(repeated) == [False, *[True] * 7]
        assert await store.session(ID).get("n") == 1


# --- use ------------------------------------------------------------------------------------------------------------


async def test_a_turn_is_used_once(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        turn = store.turn(ID)
        async with turn:
            with pytest.raises(UsageError):
                await turn.__aenter__()
        with pytest.raises(UsageError):
            await turn.__aenter__()


@pytest.mark.parametrize(
    "make",
    [
        lambda store: store.turn(ID, lease=0),
        lambda store: store.turn(ID, lease=-1),
        lambda store: store.turn(ID, lease="30"),
        lambda store: store.turn(ID, lease=86_401),
        lambda store: store.turn(ID, wait=-1),
        lambda store: store.turn(ID, message=object()),
    ],
)
async def test_what_makes_no_sense_is_refused_before_anything_is_sent(
    make: Callable[[SessionStore], Turn], driver: MemoryDriver, sent: list[Command]
) -> None:
    async with SessionStore.open(driver=driver) as store:
        with pytest.raises((InvalidOption, InvalidValue)):
            await make(store).__aenter__()
        assert sent == []


async def test_a_turn_begins_with_what_stands_and_knows_its_revision(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        made = await store.session(ID).update(a=1)
        await store.session(ID).props.set("p", 2)
        async with store.turn(ID) as turn:
            assert (turn.state, turn.props) == ({"a": 1}, {"p": 2})
            assert type(turn.state) is dict
            assert turn.revision == Revision(made.revision.epoch, 2)
            turn.state["a"] = 2
        assert turn.revision == Revision(made.revision.epoch, 3)


async def test_many_waiters_are_served_in_the_order_they_came(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        order: list[int] = []

        async def one(number: int) -> None:
            async with store.turn(ID, wait=30):
                order.append(number)

        tasks: list[Awaitable[None]] = []
        async with store.turn(ID):
            for number in range(40):
                before = len(driver.sent)  # type: ignore[attr-defined]  # the tapped driver's
                tasks.append(asyncio.create_task(one(number)))
                while len(driver.sent) == before:  # type: ignore[attr-defined]  # same
                    await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        assert order == list(range(40))


async def test_removing_by_turn_of_what_is_gone_already_conflicts(driver: MemoryDriver, sent: list[Command]) -> None:
    async with SessionStore.open(driver=driver) as store:
        session = store.session(ID)
        await session.update(a=1, b=1)
        with pytest.raises(Conflict):
            async with store.turn(ID, exclusive=False) as turn:
                await session.remove("a")
                del turn.state["a"]
        assert isinstance(_commits(sent)[-1].operations[0], Remove)


# --- what goes wrong --------------------------------------------------------------------------------------------------


class AnsweringDriver(MemoryDriver):
    """Answers Load with a given status once `status` is set, as a place does that cannot read a record."""

    status: Status | None = None

    async def execute(self, space: Space, session_id: str, command: Command, *, deadline: float | None = None) -> Reply:
        reply = await super().execute(space, session_id, command, deadline=deadline)
        if self.status is not None and isinstance(command, Load):
            return Reply(self.status, session_id, reply.now)
        return reply


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize(
    ("status", "error"),
    [(Status.CORRUPT, CorruptRecord), (Status.TOO_LATE, TooLate), (Status.UNSUPPORTED, Unsupported)],
)
async def test_a_read_that_failed_is_no_empty_session(
    exclusive: bool, status: Status, error: type[GridSessionError]
) -> None:
    driver = AnsweringDriver()
    async with SessionStore.open(driver=driver) as store:
        await store.session(ID).set("count", 7)
        driver.status = status
        with pytest.raises(error):
            async with store.turn(ID, exclusive=exclusive) as turn:
                turn.state["welcome"] = True
        driver.status = None
        assert dict(await store.session(ID).load()) == {"count": 7}


async def test_a_record_that_cannot_be_decoded_leaves_no_lease_behind(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        raw = b"\x00" + msgpack.packb(msgpack.ExtType(99, b"of a newer version"))
        command = Commit(bytes(16), driver.not_after(1000), (Set(STATE, "odd", raw),))
        await driver.execute(Space("default"), ID, command)
        with pytest.raises(CodecError):
            async with store.turn(ID):
                pass
        assert await _held(driver) is None


async def test_after_its_block_a_turn_writes_nothing_more(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        turn = store.turn(ID)
        with pytest.raises(UsageError):
            await turn.commit()
        async with turn:
            turn.state["n"] = 1
        turn.state["n"] = 2
        with pytest.raises(UsageError):
            await turn.commit()
        with pytest.raises(UsageError):
            _ = turn.session
        assert await store.session(ID).get("n") == 1


async def test_a_turn_cancelled_while_it_ends_is_cancelled_and_its_session_freed() -> None:
    started = asyncio.Event()

    class SlowCommits(MemoryDriver):
        async def execute(
            self, space: Space, session_id: str, command: Command, *, deadline: float | None = None
        ) -> Reply:
            if isinstance(command, Commit):
                started.set()
                await asyncio.Event().wait()
            return await super().execute(space, session_id, command, deadline=deadline)

    driver = SlowCommits()
    async with SessionStore.open(driver=driver) as store:
        went_on = False

        async def work() -> None:
            nonlocal went_on
            async with store.turn(ID) as turn:
                turn.state["n"] = 1
            went_on = True

        task = asyncio.create_task(work())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not went_on
        assert await _held(driver) is None


async def test_what_was_raised_in_the_block_comes_out_also_when_its_driver_was_closed_meanwhile() -> None:
    class Closed(MemoryDriver):
        closed = False

        def not_after(self, deadline: int) -> int:
            if self.closed:
                raise StoreClosed("the store is closed")
            return super().not_after(deadline)

    driver = Closed()
    async with SessionStore.open(driver=driver) as store:
        with pytest.raises(ZeroDivisionError):
            async with store.turn(ID):
                driver.closed = True
                raise ZeroDivisionError


async def _held(driver: MemoryDriver) -> object:
    """The lease that stands in the record."""
    record = driver._spaces[Space("default")][ID]
    return record.lease
