"""The Python rules and live members, side by side: random commands, every reply and every stored byte compared.

The member stamps its own time on a command; its reply tells it, and the Python rules are given that very time.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hazelcast.asyncio import HazelcastClient
from hazelcast.config import Config
from hypothesis import HealthCheck, Phase, assume, given, settings

from gridsession._commands import Command, Commit, Delete, Install
from gridsession._identity import Space
from gridsession._limits import DEFAULT_LIMITS, Limits
from gridsession._reply import Reply, Status
from gridsession._wire import apply_bytes
from gridsession.drivers import Driver, driver_class, parse_url
from gridsession.drivers.hazelcast import _wire
from gridsession.hooks import CommandRetried, Event, Hooks
from gridsession.testing.local_grid import LocalGrid
from tests.strategies import START, Script, resolved, scripts, shifted

pytestmark = pytest.mark.grid

ID = "line:U1"
SMALL = Limits(record_bytes=500, fields=3, name_bytes=4, ring=6, waiters=2)
# Steps that a test can wait for: leases of 20 ms end, deadlines of 1 ms pass.
STEPS = (0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 25)
RANDOM = settings(
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    # A live member's clock is not replayed: shrinking would chase another run.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


class Live:
    """One member's map, through the driver and, to see the bytes, through the official client beside it."""

    def __init__(self, grid: LocalGrid, limits: Limits) -> None:
        self.limits = limits
        self.seen: Counter[Status] = Counter()
        self._grid = grid
        self._retried = 0
        self._space = Space(f"rules-{secrets.token_hex(6)}")
        self._runner = asyncio.Runner()
        self._driver: Driver = driver_class("hazelcast").from_address(parse_url(grid.url), Hooks([self._heard]))
        self._runner.run(self._open())

    async def _open(self) -> None:
        config = Config()
        config.cluster_members = [f"127.0.0.1:{port}" for port in self._grid.ports]
        config.cluster_name = self._grid.cluster_name
        await self._driver.open()
        self._client = await HazelcastClient.create_and_start(config)
        self._stored: Any = await self._client.get_map(_wire.records_map(self._space))

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._close())
        self._runner.close()

    async def _close(self) -> None:
        await self._driver.aclose()
        await self._client.shutdown()
        await asyncio.sleep(0.01)

    def play(self, script: Script) -> None:
        self._runner.run(self._play(script))

    def _heard(self, event: Event) -> None:
        self._retried += isinstance(event, CommandRetried)

    async def _play(self, script: Script) -> None:
        await self._stored.delete(ID)
        stored, reply, token = None, None, 0
        sent: list[Command] = []
        self._retried = 0
        for number, (step, drawn) in enumerate(shifted(script, self._driver.now() - START)):
            if step:
                await asyncio.sleep(step / 1000)
            # A resend is the very command that was sent, with the placeholders it had then.
            command = _sent_before(drawn, sent) or resolved(drawn, reply, token)
            sent.append(command)
            reply = await self._driver.execute(self._space, ID, command)
            held = await self._stored.get(ID)
            # A command that the driver had to send twice is no longer the one the Python rules get.
            assume(not self._retried)
            after, answer = apply_bytes(stored, command.encode(), reply.now, ID, self.limits)
            where = f"step {number}: {command} on {stored!r}"
            assert reply.encode() == answer, where
            assert (None if held is None else bytes(held)) == after, where
            stored, token = after, _token(reply) or token
            self.seen[reply.status] += 1


def _token(reply: Reply) -> int:
    return 0 if reply.grant is None else reply.grant.token


def _sent_before(drawn: Command, sent: list[Command]) -> Command | None:
    if not isinstance(drawn, (Commit, Delete, Install)):
        return None
    for command in sent:
        if isinstance(command, type(drawn)) and (command.op_id, command.not_after) == (drawn.op_id, drawn.not_after):
            return replace(command, retry=drawn.retry)
    return None


def test_a_member_answers_and_stores_what_the_python_rules_do(grid: LocalGrid) -> None:
    with Live(grid, DEFAULT_LIMITS) as live:

        @RANDOM
        @given(scripts(ID, max_steps=15, steps=STEPS))
        def play(script: Script) -> None:
            live.play(script)

        play()
    met = {
        Status.OK,
        Status.ABSENT,
        Status.CONFLICT,
        Status.LEASED,
        Status.LEASE_LOST,
        Status.TOO_LATE,
        Status.WRONG_TYPE,
    }
    assert met <= set(live.seen), "the scripts met too little"


def test_a_member_keeps_its_limits_as_the_python_rules_do(grid: LocalGrid) -> None:
    """One member with limits so small that random commands meet them; `grid` for its skip where there is no Java."""
    with LocalGrid(members=1, limits=SMALL) as alone, Live(alone, SMALL) as live:

        @RANDOM
        @given(scripts(ID, max_steps=30, steps=STEPS))
        def play(script: Script) -> None:
            live.play(script)

        play()
    assert {Status.BUSY, Status.TOO_LARGE} <= set(live.seen), "the scripts met no limit"
