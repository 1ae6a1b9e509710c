"""The driver's rules (DESIGN.md section 5) as they show on real members: what is stored, copied and confirmed."""

from __future__ import annotations

import asyncio
import secrets

import pytest
from hazelcast.config import ReconnectMode

from gridsession._commands import (
    Absent,
    Acquire,
    Allow,
    AtRevision,
    Command,
    Commit,
    Delete,
    Install,
    Load,
    Mode,
    Present,
    Release,
    Remember,
    Renew,
    TtlMode,
)
from gridsession._record import Record
from gridsession._reply import Status
from gridsession.drivers.hazelcast import _wire
from gridsession.drivers.hazelcast._link import Settings
from gridsession.drivers.hazelcast._scan import records
from gridsession.hooks import CommandDone
from gridsession.testing.local_grid import LocalGrid
from tests.grid.driving import a_space, increment, opened, stranger

pytestmark = pytest.mark.grid


def new_id() -> bytes:
    return secrets.token_bytes(16)


def test_rule_1_what_is_stored_are_the_records_bytes_under_the_text_of_the_id(grid: LocalGrid) -> None:
    async def scenario() -> None:
        space = a_space()
        async with opened(grid.url) as driver, stranger(grid) as other:
            stored = await other.get_map(_wire.records_map(space))
            reply = await driver.execute(space, "line:ü1", increment(driver))
            assert await stored.key_set() == ["line:ü1"]
            value = await stored.get("line:ü1")
            assert type(value) is bytearray, "Java's byte[]"
            record = Record.decode(bytes(value), expected_id="line:ü1")
            assert (record.epoch, record.revision) == (reply.epoch, reply.revision)
            assert driver._executor is not None
            found = await records(driver._executor, space, asyncio.get_running_loop().time() + 10)
            assert {name: data for name, (_, data) in found.items()} == {"line:ü1": bytes(value)}

    asyncio.run(scenario())


def test_rule_2_every_write_sets_a_ttl_that_outlives_the_session_and_a_look_leaves_it(grid: LocalGrid) -> None:
    async def scenario() -> None:
        space = a_space()
        async with opened(grid.url) as driver, stranger(grid) as other:
            stored = await other.get_map(_wire.records_map(space))
            for number in range(10):
                mode = TtlMode.KEEP if number % 2 else TtlMode.RESTART
                await driver.execute(space, "line:1", increment(driver, created_ttl=60_000, ttl_mode=mode))
                view = await stored.get_entry_view("line:1")
                assert 60_000 + 120_000 - 5_000 <= view.expiration_time - driver.now() <= 60_000 + 600_000
            before = (await stored.get_entry_view("line:1")).expiration_time
            await driver.execute(space, "line:1", Load())
            assert (await stored.get_entry_view("line:1")).expiration_time == before

    asyncio.run(scenario())


def test_rule_5_every_definite_answer_is_confirmed_at_the_first_attempt_also_when_nothing_changed(
    grid: LocalGrid,
) -> None:
    async def scenario() -> None:
        space = a_space()
        heard: list[CommandDone] = []
        async with opened(
            grid.url, lambda event: heard.append(event) if isinstance(event, CommandDone) else None
        ) as driver:
            until = driver.now() + 60_000
            here = increment(driver, created_ttl=60_000)
            await driver.execute(space, "line:1", here)
            await driver.execute(
                space, "line:1", Commit(new_id(), until, (Remember("seen", b"m1", 10), Allow("gate", 60_000)))
            )
            elsewhere = Record("line:1", epoch=1, live=True, revision=1).encode()
            commands: list[tuple[str, Command, Status]] = [
                ("line:1", here, Status.OK),
                ("line:1", Commit(new_id(), until, (Remember("seen", b"m1", 10),)), Status.OK),
                ("line:1", Commit(new_id(), until, (Allow("gate", 60_000),)), Status.OK),
                ("line:1", increment(driver, guards=(Absent(),)), Status.CONFLICT),
                ("line:1", increment(driver, guards=(AtRevision(1, 1),)), Status.CONFLICT),
                ("line:none", increment(driver, guards=(Present(),)), Status.ABSENT),
                ("line:1", increment(driver, token=12345), Status.LEASE_LOST),
                ("line:1", Renew(12345, 1_000, until), Status.LEASE_LOST),
                ("line:1", Release(until, token=12345), Status.LEASE_LOST),
                ("line:none", Delete(new_id(), until), Status.ABSENT),
                ("line:1", Install(new_id(), until, elsewhere, Mode.IF_NEWER), Status.CONFLICT),
                ("line:1", Load(confirm=True), Status.OK),
                ("line:none", Load(confirm=True), Status.ABSENT),
                ("line:1", Load(acquire=Acquire("one", new_id(), 60_000, 0), not_after=until), Status.OK),
                ("line:1", Load(acquire=Acquire("two", new_id(), 60_000, 0), not_after=until), Status.LEASED),
            ]
            for session_id, command, status in commands:
                reply = await driver.execute(space, session_id, command, deadline=5)
                assert reply.status is status, command
            assert len(heard) == len(commands) + 2
            assert [event.attempts for event in heard] == [1] * len(heard)

    asyncio.run(scenario())


def test_rule_6_the_client_is_told_to_fail_fast_and_never_to_repeat_by_itself() -> None:
    config = Settings(("127.0.0.1:5701",), "bots").config()
    assert config.redo_operation is False
    assert config.fail_on_indeterminate_operation_state is True
    assert config.reconnect_mode == ReconnectMode.ASYNC
    assert config.operation_backup_timeout == 1.0
    assert (config.heartbeat_interval, config.heartbeat_timeout) == (1.0, 5.0)
    assert config.statistics_enabled is False
