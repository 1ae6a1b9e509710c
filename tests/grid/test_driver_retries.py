"""What becomes of a command whose answer is lost, late or confirmed by too few: real members, answers withheld."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from hazelcast.errors import HazelcastSerializationError, MemberLeftError, SplitBrainProtectionError
from hazelcast.internal.asyncio_invocation import InvocationService

from gridsession._commands import Acquire, Commit, Delete, Increment, Load, Release, Renew
from gridsession._identity import Space
from gridsession._record import decode_field
from gridsession._reply import Status
from gridsession.drivers.hazelcast import HazelcastDriver
from gridsession.drivers.hazelcast._link import PATHS
from gridsession.drivers.hazelcast._tap import Tap
from gridsession.errors import DeadlineExceeded, MemberUnfit, OutcomeUnknown, StoreClosed, UnderReplicated
from gridsession.hooks import CommandRetried
from gridsession.testing.local_grid import LocalGrid
from tests.grid.driving import Answered, Deliver, a_space, eventually, increment, intercept, opened

pytestmark = pytest.mark.grid


class Wire:
    """Sees each request to run a command as it is answered, and decides what becomes of the answer."""

    def __init__(self, driver: HazelcastDriver, space: Space, patch: pytest.MonkeyPatch) -> None:
        self.driver = driver
        self.space = space
        self.requests: list[bytes] = []
        self.fate: Callable[[int, Deliver, Any, Answered], None] = lambda _, deliver, *answer: deliver(*answer)
        intercept(driver, patch, self._see)

    def _see(self, deliver: Deliver, call: Any, answered: Answered) -> None:
        self.requests.append(call.buf)
        self.fate(len(self.requests), deliver, call, answered)

    async def count(self) -> int:
        self.fate = lambda _, deliver, *answer: deliver(*answer)
        reply = await self.driver.execute(self.space, "line:1", Load(confirm=True))
        return int(decode_field(reply.bags[0]["n"])) if reply.bags[0] else 0


@pytest.fixture(params=PATHS)
def url(request: pytest.FixtureRequest, grid: LocalGrid) -> str:
    """The grid by each way that commands can travel."""
    return f"{grid.url}?path={request.param}"


@asynccontextmanager
async def wired(url: str, *hooks: Callable[[Any], None]) -> AsyncIterator[Wire]:
    with pytest.MonkeyPatch.context() as patch:
        async with opened(url, *hooks) as driver:
            yield Wire(driver, a_space(), patch)


def unconfirmed(deliver: Deliver, call: Any, answered: Answered) -> None:
    """The answer of an owner that dropped its backups: it waited for none."""
    deliver(call, (0, answered[1]))


def cut(call: Any) -> None:
    """The connection breaks before the answer arrives."""
    call.connection._proto._transport.abort()


def test_an_answer_no_backup_confirmed_is_asked_for_again_under_its_op_id(url: str) -> None:
    async def scenario() -> None:
        heard: list[Any] = []
        async with wired(url, heard.append) as wire:

            def twice_unconfirmed(attempt: int, deliver: Deliver, *answer: Any) -> None:
                unconfirmed(deliver, *answer) if attempt <= 2 else deliver(*answer)

            wire.fate = twice_unconfirmed
            command = increment(wire.driver)
            reply = await wire.driver.execute(wire.space, "line:1", command)
            assert (reply.status, reply.duplicate, reply.revision) == (Status.OK, True, 1)
            assert len(wire.requests) == 3
            assert all(command.op_id in request for request in wire.requests)
            retried = replace(command, retry=True)
            assert command.encode() in wire.requests[0]
            assert all(retried.encode() in request for request in wire.requests[1:])
            assert [event.reason for event in heard if isinstance(event, CommandRetried)] == [
                "too few backups confirmed"
            ] * 2
            assert await wire.count() == 1

    asyncio.run(scenario())


def test_an_answer_lost_with_its_connection_is_asked_for_again_and_applied_once(url: str) -> None:
    async def scenario() -> None:
        async with wired(url) as wire:
            wire.fate = lambda attempt, deliver, *answer: cut(answer[0]) if attempt == 1 else deliver(*answer)
            reply = await wire.driver.execute(wire.space, "line:1", increment(wire.driver))
            assert (reply.status, reply.duplicate) == (Status.OK, True)
            assert await wire.count() == 1

    asyncio.run(scenario())


def test_calls_of_a_connection_that_ended_end_with_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The client's own look at its connections comes too late to help.
    monkeypatch.setattr(InvocationService, "_CLEAN_RESOURCES_PERIOD", 3_600)

    async def scenario() -> None:
        async with wired(url) as wire:
            wire.fate = lambda *answer: cut(answer[2])
            with pytest.raises(OutcomeUnknown) as caught:
                await wire.driver.execute(wire.space, "line:1", increment(wire.driver), deadline=0.3)
            assert "no answer by the deadline" not in str(caught.value)

    asyncio.run(scenario())


def test_a_connection_made_again_carries_commands_the_same_way(url: str) -> None:
    async def scenario() -> None:
        async with wired(url) as wire:
            link = wire.driver._client.link  # type: ignore[union-attr]
            assert link.tapped == ("path=tap" in url)
            connections = list(link._connections.active_connections.values())
            for connection in connections:
                connection._proto._transport.abort()
            seen: set[Any] = set()

            def see(_: int, deliver: Deliver, call: Any, answered: Answered) -> None:
                seen.add(call.connection)
                deliver(call, answered)

            wire.fate = see

            async def all_new_ones_used() -> bool:
                await wire.driver.execute(wire.space, f"line:{secrets.token_hex(4)}", increment(wire.driver))
                return len(seen - set(connections)) == 3

            await eventually(all_new_ones_used, "commands on three new connections")
            assert all((type(connection._reader) is Tap) == link.tapped for connection in seen)

    asyncio.run(scenario())


def test_a_cluster_that_was_gone_is_told_of_its_maps_again(url: str) -> None:
    """What comes back may be another one, started anew."""

    async def scenario() -> None:
        async with opened(url) as driver:
            link, space = driver._client.link, a_space("globals")  # type: ignore[union-attr]
            await driver.execute(space, "mood", increment(driver))
            assert link.introduced
            for connection in list(link._connections.active_connections.values()):
                connection._proto._transport.abort()

            async def forgotten() -> bool:
                return not link.introduced

            await eventually(forgotten, "no map known to the cluster any more")
            await driver.execute(space, "mood", increment(driver))
            assert link.introduced

    asyncio.run(scenario())


def test_closing_ends_every_call_also_those_that_wait_for_others(url: str) -> None:
    async def scenario() -> None:
        async with wired(f"{url}&max_in_flight=4") as wire:
            wire.fate = lambda *_: None
            driver = wire.driver
            calls = [asyncio.create_task(driver.execute(wire.space, f"line:{n}", increment(driver))) for n in range(12)]

            async def under_way() -> bool:
                return len(wire.requests) == 4

            await eventually(under_way, "four are answered, and the answers withheld")
            await driver.aclose()
            ended = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(end) for end in ended] == [OutcomeUnknown] * 4 + [StoreClosed] * 8

    asyncio.run(scenario())


def test_no_answer_by_the_deadline_is_an_unknown_outcome_with_the_op_id(url: str) -> None:
    async def scenario() -> None:
        async with wired(url) as wire:
            loop = asyncio.get_running_loop()
            wire.fate = lambda *_: None
            command, started = increment(wire.driver), loop.time()
            with pytest.raises(OutcomeUnknown) as caught:
                await wire.driver.execute(wire.space, "line:1", command, deadline=0.3)
            assert loop.time() - started < 0.8
            assert caught.value.op_id == command.op_id
            assert caught.value.session_id == "line:1"

            # Reading has no outcome to be unknown.
            with pytest.raises(DeadlineExceeded):
                await wire.driver.execute(wire.space, "line:1", Load(), deadline=0.2)
            assert await wire.count() == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", ["commit", "delete", "acquire", "renew", "release"])
def test_never_confirmed_is_an_unknown_outcome(url: str, kind: str) -> None:
    async def scenario() -> None:
        async with wired(url) as wire:
            driver, until = wire.driver, wire.driver.now() + 10_000
            name = secrets.token_bytes(16)
            command: Any = {
                "commit": Commit(name, until, (Increment(0, "n", 1),)),
                "delete": Delete(name, until),
                "acquire": Load(acquire=Acquire("me", name, 1_000, 0), not_after=until),
                "renew": Renew(int.from_bytes(name[8:], "big"), 1_000, until),
                "release": Release(until, request_id=name),
            }[kind]
            wire.fate = lambda _, deliver, *answer: unconfirmed(deliver, *answer)
            with pytest.raises(OutcomeUnknown, match="too few backups confirmed") as caught:
                await driver.execute(wire.space, "line:1", command, deadline=0.3)
            assert caught.value.op_id == (bytes(8) + name[8:] if kind == "renew" else name)
            assert len(wire.requests) > 2

    asyncio.run(scenario())


def test_what_attempts_were_told_is_said_also_if_the_last_one_ended_with_the_deadline(url: str) -> None:
    async def scenario() -> None:
        async with wired(url) as wire:
            wire.fate = lambda attempt, deliver, *answer: unconfirmed(deliver, *answer) if attempt == 1 else None
            with pytest.raises(OutcomeUnknown, match="too few backups confirmed"):
                await wire.driver.execute(wire.space, "line:1", increment(wire.driver), deadline=0.3)
            assert len(wire.requests) == 2

    asyncio.run(scenario())


def test_a_confirmed_load_that_nobody_confirms_is_under_replicated_and_a_plain_one_is_answered(url: str) -> None:
    async def scenario() -> None:
        async with wired(url) as wire:
            wire.fate = lambda _, deliver, *answer: unconfirmed(deliver, *answer)
            with pytest.raises(UnderReplicated):
                await wire.driver.execute(wire.space, "line:1", Load(confirm=True), deadline=0.3)
            assert (await wire.driver.execute(wire.space, "line:1", Load())).status is Status.ABSENT

    asyncio.run(scenario())


def test_the_client_does_not_send_a_command_again_by_itself(url: str) -> None:
    """It would, for an error of this class, and without telling the member that it is a retry."""

    async def scenario() -> None:
        async with wired(url) as wire:
            failing(wire, MemberLeftError("Exception from server: x.MemberLeftException: y"), times=2)
            command = increment(wire.driver)
            loop = asyncio.get_running_loop()
            started = loop.time()
            reply = await wire.driver.execute(wire.space, "line:1", command)
            assert loop.time() - started < 1.0, "the client would wait a second before each of its own attempts"
            assert (reply.status, reply.duplicate) == (Status.OK, True)
            retried = replace(command, retry=True).encode()
            assert [retried in request for request in wire.requests] == [False, True, True]

    asyncio.run(scenario())


def test_too_late_after_a_lost_answer_is_unknown_and_without_one_is_too_late(url: str) -> None:
    async def scenario() -> None:
        async with wired(url) as wire:
            driver = wire.driver
            late = Commit(secrets.token_bytes(16), driver.now() - 1, (Increment(0, "n", 1),))
            assert (await driver.execute(wire.space, "line:1", late)).status is Status.TOO_LATE
            wire.requests.clear()

            command = increment(driver, within=300)

            def lose_the_first(attempt: int, deliver: Deliver, call: Any, answered: Answered) -> None:
                if attempt == 1:
                    too_late_in = (command.not_after - driver.now()) / 1_000 + 0.05
                    asyncio.get_running_loop().call_later(too_late_in, cut, call)
                else:
                    deliver(call, answered)

            wire.fate = lose_the_first
            with pytest.raises(OutcomeUnknown, match="too_late"):
                await driver.execute(wire.space, "line:1", command)
            assert await wire.count() == 1

    asyncio.run(scenario())


def failing(wire: Wire, error: Exception, times: int = 1_000_000) -> None:
    """Members that answer with an error instead of what they did."""
    service = wire.driver._client.link.service  # type: ignore[union-attr]

    def fate(attempt: int, deliver: Deliver, call: Any, answered: Answered) -> None:
        if attempt <= times:
            service._notify_error(call, error)
        else:
            deliver(call, answered)

    wire.fate = fate


def test_refused_for_want_of_members_is_under_replicated_at_the_deadline_and_passes_if_they_return(
    url: str,
) -> None:
    async def scenario() -> None:
        async with wired(url) as wire:
            failing(wire, SplitBrainProtectionError("Exception from server: x.SplitBrainProtectionException: y"))
            with pytest.raises(UnderReplicated, match="majority") as caught:
                await wire.driver.execute(wire.space, "line:1", Load(confirm=True), deadline=0.3)
            assert caught.value.session_id == "line:1"
            wire.requests.clear()
            failing(wire, SplitBrainProtectionError("as before"), times=3)
            assert (await wire.driver.execute(wire.space, "line:1", Load(confirm=True))).status is Status.ABSENT

    asyncio.run(scenario())


def test_a_member_that_lost_our_jar_is_named(grid: LocalGrid, url: str) -> None:
    async def scenario() -> None:
        async with wired(url) as wire:
            failing(
                wire, HazelcastSerializationError("No DataSerializerFactory registered for namespace: 18259\n\tat x")
            )
            with pytest.raises(MemberUnfit, match=r"127\.0\.0\.1:\d+ does not have gridsession's jar") as caught:
                await wire.driver.execute(wire.space, "line:1", Load())
            assert "\tat" not in str(caught.value)
            assert caught.value.address in {f"127.0.0.1:{port}" for port in grid.ports}

    asyncio.run(scenario())


def test_a_change_is_surely_not_applied_only_if_the_member_it_was_sent_to_lacks_our_jar(url: str) -> None:
    """The member of a copy answers in the owner's place, though the owner applied it."""
    lacking = "Exception from server: x.HazelcastSerializationException: No DataSerializerFactory registered\n\tat "

    async def scenario() -> None:
        async with wired(url) as wire:
            failing(
                wire, HazelcastSerializationError(lacking + "com.hazelcast.x.MessageTask.prepareOperation(X.java:1)")
            )
            with pytest.raises(MemberUnfit):
                await wire.driver.execute(wire.space, "line:1", increment(wire.driver))
            failing(wire, HazelcastSerializationError(lacking + "x.OperationRunnerImpl.run(X.java:1)"))
            with pytest.raises(OutcomeUnknown, match="a member does not have gridsession's jar"):
                await wire.driver.execute(wire.space, "line:1", increment(wire.driver))
            with pytest.raises(MemberUnfit):
                await wire.driver.execute(wire.space, "line:1", Load())

    asyncio.run(scenario())


def test_an_error_of_the_member_is_told_by_its_class_only(url: str) -> None:
    async def scenario() -> None:
        async with wired(url) as wire:
            message = "Exception from server: java.lang.IllegalStateException: a secret value\n\tat com.Some.where(X:1)"
            failing(wire, RuntimeError(message))
            with pytest.raises(OutcomeUnknown, match="IllegalStateException") as caught:
                await wire.driver.execute(wire.space, "line:1", increment(wire.driver))
            assert "secret" not in str(caught.value)
            assert "\tat" not in str(caught.value)
            assert len(wire.requests) == 3, "a strange error is not asked for again for ever"

    asyncio.run(scenario())
