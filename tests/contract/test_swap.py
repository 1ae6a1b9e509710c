"""The loop of the compare-and-swap drivers, on a place that loses answers, applies late and is not cancelled."""

from __future__ import annotations

import asyncio
import random
from typing import Any, ClassVar

import pytest

from gridsession import Policy, SessionStore
from gridsession._commands import Commit, Set
from gridsession._record import STATE, encode_field
from gridsession.drivers import Address, Promise, Reach, Space
from gridsession.drivers._clock import host_clock
from gridsession.drivers._deadlines import Deadlines
from gridsession.drivers._swap import Found, Held, SwapDriver, Unanswered, Unsent
from gridsession.drivers._swap_known import Lines
from gridsession.errors import ConnectFailed, DeadlineExceeded, InvalidOption, OutcomeUnknown, StoreClosed
from gridsession.hooks import CommandDone, CommandRetried, Event, Hooks

ID = "line:U1"


class Unreliable(SwapDriver):
    """Records in a dict behind a network that misbehaves as its `fault` says."""

    promise: ClassVar[Promise] = Promise(Reach.PROCESS, (), None, own_clock=False, pushes=False)

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.records: dict[str, tuple[int, bytes]] = {}
        self.fault = "none"
        self.chance = random.Random(5)
        self.tries = 0
        self.swaps = 0

    @classmethod
    def from_address(cls, address: Address, hooks: Hooks) -> Unreliable:
        return cls(hooks=hooks)

    def now(self) -> int:
        return host_clock()

    def where(self, space: Space, session_id: str) -> str:
        return session_id

    async def read(self, space: Space, session_id: str) -> Held:
        await asyncio.sleep(0)
        self.tries += 1
        if self.fault == "deaf":
            raise Unsent("nobody listens")
        if self.fault == "silent once":
            self.fault = "none"
            await asyncio.sleep(60)
        if self.fault == "swallows cancellation":
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.fault = "deaf"
                raise Unsent("nobody listens") from None
        version, data = self.records.get(session_id, (0, None))
        return Held(data, version, self.now())

    async def swap(
        self, space: Space, session_id: str, held: Held, data: bytes | None, *, keep_until: int | None, before: int
    ) -> bool | Held:
        await asyncio.sleep(0)
        self.swaps += 1
        fault = (
            self.chance.choice(("none", "unsent", "lost", "lost after", "late")) if self.fault == "any" else self.fault
        )
        if fault == "unsent":
            raise Unsent("refused")
        if fault == "lost":
            raise Unanswered("lost on its way")
        if fault == "late":
            asyncio.get_running_loop().call_later(0.002, self._apply, session_id, held.version, data, before)
            raise Unanswered("still on its way")
        if fault == "another first":
            return False
        done = self._apply(session_id, held.version, data, before)
        if fault == "lost after":
            raise Unanswered("the answer was lost")
        if not self.expects:
            return done
        version, stands = self.records[session_id]
        return Held(stands, version, self.now())

    async def page(self, space: Space, prefix: str, cursor: str | None, limit: int) -> Found:
        return Found([(name, data) for name, (_, data) in self.records.items()], None, self.now())

    def _apply(self, session_id: str, version: int, data: bytes | None, before: int) -> bool:
        if self.records.get(session_id, (0, None))[0] != version or (before and self.now() >= before):
            return False
        assert data is not None
        self.records[session_id] = version + 1, data
        return True


async def test_whatever_is_lost_each_change_is_applied_once() -> None:
    driver = Unreliable()
    async with SessionStore.open(driver=driver, policy=Policy(deadline=30)) as store:
        await store.session(ID).set("n", 0)
        driver.fault = "any"

        async def count(number: int) -> list[int]:
            # Some under a lease, the others in a queue: both ways of meeting.
            if number % 3:
                return [await store.session(ID).increment("n") for _ in range(10)]
            for _ in range(10):
                async with store.turn(ID, wait=30) as turn:
                    turn.props["turns"] = turn.props.get("turns", 0) + 1
            return []

        told = await asyncio.gather(*(count(number) for number in range(9)))
        driver.fault = "none"
        assert sorted(number for numbers in told for number in numbers) == list(range(1, 61))
        assert await store.session(ID).get("n") == 60
        assert await store.session(ID).props.get("turns") == 30
    await driver.aclose()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("unsent", ConnectFailed),
        ("deaf", ConnectFailed),
        ("swallows cancellation", ConnectFailed),
        ("lost", OutcomeUnknown),
        ("another first", DeadlineExceeded),
    ],
)
async def test_a_call_ends_by_its_deadline_in_the_error_that_is_true(fault: str, error: type[Exception]) -> None:
    driver = Unreliable()
    async with SessionStore.open(driver=driver, policy=Policy(deadline=0.2)) as store:
        driver.fault = fault
        loop = asyncio.get_running_loop()
        started = loop.time()
        with pytest.raises(error) as told:
            await store.session(ID).set("a", 1)
        assert loop.time() - started < 1
        if isinstance(told.value, OutcomeUnknown):
            assert len(told.value.op_id) == 16
            assert any(told.value.op_id)
        driver.fault = "none"
        await store.session(ID).set("a", 2)
        assert await store.session(ID).get("a") == 2
    await driver.aclose()


async def test_hooks_hear_of_retries_and_ends() -> None:
    events: list[Event] = []
    driver = Unreliable(hooks=Hooks([events.append]))
    async with SessionStore.open(driver=driver) as store:
        driver.fault = "lost after"
        await store.session(ID).set("a", 1)
    retried, done = events
    assert isinstance(retried, CommandRetried)
    assert (retried.command, retried.attempt, retried.reason) == ("Commit", 1, "the answer was lost")
    assert isinstance(done, CommandDone)
    assert (done.status, done.attempts, done.duplicate) == ("ok", 2, True)
    await driver.aclose()


async def test_a_cancelled_writer_lets_the_next_one_in() -> None:
    driver = Unreliable()
    async with SessionStore.open(driver=driver) as store:
        driver.fault = "unsent"
        writers = [asyncio.create_task(store.session(ID).set("a", number)) for number in range(3)]
        await asyncio.sleep(0.01)
        writers[0].cancel()
        writers[1].cancel()
        driver.fault = "none"
        await writers[2]
        assert await store.session(ID).get("a") == 2
        assert not driver._lines._waiting
    await driver.aclose()


async def test_a_closed_driver_says_so() -> None:
    driver = Unreliable()
    with pytest.raises(StoreClosed):
        await driver.scan(Space("a"))
    await driver.open()
    await driver.open()
    await driver.aclose()
    await driver.aclose()
    with pytest.raises(StoreClosed):
        async for _ in driver.watch(Space("a")):
            pass


@pytest.mark.parametrize("settings", [{"deadline": 0}, {"deadline": float("nan")}, {"poll": -1}])
def test_times_that_are_none_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(InvalidOption):
        Unreliable(**settings)


async def test_a_command_that_grew_too_old_between_two_attempts_is_overdue_not_late() -> None:
    driver = Unreliable()
    await driver.open()
    driver.fault = "another first"
    command = Commit(b"o" * 16, driver.now() + 50, (Set(STATE, "a", encode_field(1)),))
    with pytest.raises(DeadlineExceeded):
        await driver.execute(Space("a"), ID, command, deadline=5)
    await driver.aclose()


async def test_who_repeats_an_operation_is_answered_once_it_is_copied() -> None:
    driver = Unreliable()
    driver.ships_again = True
    await driver.open()
    command = Commit(b"o" * 16, driver.now() + 5_000, (Set(STATE, "a", encode_field(1)),))
    await driver.execute(Space("a"), ID, command)
    # Its caller, who was told that the outcome is unknown, asks again under the same op id.
    reply = await driver.execute(Space("a"), ID, command)
    assert reply.duplicate
    assert driver.swaps == 2
    await driver.aclose()


async def test_a_place_that_falls_silent_is_asked_anew() -> None:
    driver = Unreliable()
    driver.patience = 0.05
    async with SessionStore.open(driver=driver) as store:
        driver.fault = "silent once"
        await store.session(ID).set("a", 1)
        assert driver.tries == 2
    await driver.aclose()


async def test_what_ends_before_the_next_look_is_told_of_though_that_is_long_after() -> None:
    driver, loop, space = Unreliable(), asyncio.get_running_loop(), Space("default")
    driver.look_every = 3_600
    async with SessionStore.open(driver=driver, policy=Policy(ttl=60, announce_expiry=True)) as store:
        await store.session(ID).set("a", 1)
        assert (await driver.due(space)).ids == []
        real = loop.time
        loop.time = lambda: real() + 61  # type: ignore[method-assign]  # an hour of waiting would be too long
        try:
            assert (await driver.due(space)).ids == [ID]
        finally:
            loop.time = real  # type: ignore[method-assign]  # as above
    await driver.aclose()


class Expecting(Unreliable):
    """One that tells what stands there when it swaps, and so may be asked to swap before it is read."""

    expects = True


async def test_who_stored_a_session_a_moment_ago_need_not_read_it() -> None:
    driver = Expecting()
    async with SessionStore.open(driver=driver) as store:
        for number in range(1, 11):
            assert await store.session(ID).increment("n") == number
        assert (driver.tries, driver.swaps) == (1, 10)
        assert await store.session(ID).get("n") == 10
        assert driver.tries == 2
    await driver.aclose()


async def test_what_another_stored_meanwhile_is_found_by_the_swap_and_counts() -> None:
    driver, other = Expecting(), Expecting()
    other.records = driver.records
    async with SessionStore.open(driver=driver) as here, SessionStore.open(driver=other) as there:
        for number in range(1, 11):
            assert await here.session(ID).increment("n") == 2 * number - 1
            assert await there.session(ID).increment("n") == 2 * number
        # The first time each reads; then a swap in vain tells what the other stored.
        assert (driver.tries, driver.swaps) == (1, 19)
        assert (other.tries, other.swaps) == (1, 19)
    await driver.aclose()
    await other.aclose()


async def test_a_refusal_is_read_and_never_expected() -> None:
    driver, other = Expecting(), Expecting()
    other.records = driver.records
    async with SessionStore.open(driver=driver) as here, SessionStore.open(driver=other) as there:
        assert await here.session(ID).remember("m1")
        await there.session(ID).delete()
        # As it was stored here, the message was seen; it no longer is.
        assert await here.session(ID).remember("m1")
    await driver.aclose()
    await other.aclose()


async def test_an_unanswered_swap_is_no_expectation() -> None:
    driver = Expecting()
    async with SessionStore.open(driver=driver) as store:
        await store.session(ID).increment("n")
        driver.fault = "lost after"
        assert await store.session(ID).increment("n") == 2
        driver.fault = "none"
        swaps = driver.swaps
        assert await store.session(ID).increment("n") == 3
        assert driver.swaps == swaps + 1
    await driver.aclose()


async def test_what_was_stored_is_expected_by_the_clock_of_where_it_was_stored() -> None:
    """In a cluster each server has its own, and the driver knows but one."""
    driver = Expecting()
    async with SessionStore.open(driver=driver) as store:
        await store.session(ID).set("n", 1, ttl=60)
        ((line, (held, record, at)),) = driver.known._stored.items()
        driver.known._stored[line] = held._replace(now=held.now + 5_000), record, at
        assert await store.session(ID).increment("n") == 2
        assert driver.swaps == 2
        left = await store.session(ID).ttl()
        assert left is not None
        assert 60 < left <= 65
    await driver.aclose()


async def test_what_is_known_is_bounded() -> None:
    driver = Unreliable()
    async with SessionStore.open(driver=driver) as store:
        for number in range(1_100):
            await store.session(f"line:{number}").set("a", 1)
        await store.session("line:large").set("a", "x" * 20_000)
        space = store._links[0].space
        assert list(driver.known._stored) == [(space, f"line:{number}") for number in range(1_100 - 1_024, 1_100)]
    await driver.aclose()
    assert not driver.known._stored


async def test_all_who_wait_for_one_session_can_be_cancelled_at_once() -> None:
    driver = Unreliable()
    async with SessionStore.open(driver=driver) as store:
        driver.fault = "silent once"
        calls = [asyncio.create_task(store.session(ID).set("a", 1)) for _ in range(4)]
        while not driver.tries:
            await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(error) for error in ended] == [asyncio.CancelledError] * 4
        await store.session(ID).set("a", 1)
    await driver.aclose()


async def test_who_is_cancelled_when_its_turn_has_just_come_passes_it_on() -> None:
    lines, line, came = Lines(), (Space("a"), ID), []

    async def enter(name: str) -> None:
        await lines.enter(line)
        came.append(name)
        lines.leave(line)

    await lines.enter(line)
    second, third = asyncio.create_task(enter("second")), asyncio.create_task(enter("third"))
    await asyncio.sleep(0)
    lines.leave(line)
    second.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait([second, third])
    assert second.cancelled()
    assert came == ["third"]
    assert not lines.taken(line)


async def test_one_timer_ends_each_block_at_its_own_time() -> None:
    deadlines, loop = Deadlines(), asyncio.get_running_loop()
    start = loop.time()
    stalled = 0.0

    async def watch() -> None:
        """How long the whole loop stood still at most: a busy host is no fault of the timer."""
        nonlocal stalled
        while True:
            before = loop.time()
            await asyncio.sleep(0.01)
            stalled = max(stalled, loop.time() - before - 0.01)

    async def wait(seconds: float, due: float) -> float:
        try:
            with deadlines.by(start + due):
                await asyncio.sleep(seconds)
        except TimeoutError:
            return loop.time() - start
        return 0.0

    watching = asyncio.create_task(watch())
    fourth, second, never, sixth = await asyncio.gather(wait(9, 0.4), wait(9, 0.2), wait(0, 0.3), wait(9, 0.6))
    watching.cancel()
    assert never == 0.0
    for ended, due in ((fourth, 0.4), (second, 0.2), (sixth, 0.6)):
        assert due <= ended < due + 0.05 + stalled


async def test_a_cancellation_from_outside_stays_one() -> None:
    deadlines, loop = Deadlines(), asyncio.get_running_loop()

    async def wait(due: float) -> None:
        with deadlines.by(loop.time() + due):
            await asyncio.sleep(9)

    task = asyncio.create_task(wait(5))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    both = asyncio.create_task(wait(0))
    await asyncio.sleep(0)
    loop.call_soon(both.cancel)
    with pytest.raises(asyncio.CancelledError):
        await both
