"""The contract can fail: drivers that break one promise each, and the case that finds each out."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from gridsession._commands import Acquire, Command, Commit, Delete, Load, Touch
from gridsession._identity import Space
from gridsession._link import new_id
from gridsession._reply import Reply
from gridsession.drivers import Change, Driver, Page
from gridsession.drivers.memory import MemoryDriver
from gridsession.errors import Refused
from gridsession.testing.clock import ManualClock
from gridsession.testing.contract import DriverContract, _sharing


class _Altered(MemoryDriver):
    """The memory driver, its commands altered on the way."""

    def alter(self, command: Command) -> Command:
        return command

    async def execute(self, space: Space, session_id: str, command: Command, *, deadline: float | None = None) -> Reply:
        return await super().execute(space, session_id, self.alter(command), deadline=deadline)


class _AppliesRetriesAgain(_Altered):
    def alter(self, command: Command) -> Command:
        return replace(command, op_id=new_id()) if isinstance(command, (Commit, Delete)) else command


class _ForgetsRefusals(_Altered):
    def alter(self, command: Command) -> Command:
        return replace(command, retry=False) if isinstance(command, Commit) else command


class _NeverTooLate(_Altered):
    def alter(self, command: Command) -> Command:
        late = isinstance(command, (Commit, Delete)) and command.not_after <= self.now()
        return replace(command, not_after=self.now() + 1_000) if late else command


class _LosesTheTtl(_Altered):
    def alter(self, command: Command) -> Command:
        return replace(command, created_ttl=0) if isinstance(command, Commit) else command


class _TouchesWhenRead(_Altered):
    def alter(self, command: Command) -> Command:
        return replace(command, touch=Touch(2**40)) if type(command) is Load else command


class _IgnoresGuards(_Altered):
    def alter(self, command: Command) -> Command:
        return replace(command, guards=()) if isinstance(command, (Commit, Delete)) else command


class _IgnoresTokens(_Altered):
    def alter(self, command: Command) -> Command:
        return replace(command, token=0, release=False) if isinstance(command, Commit) else command


class _HasNoQueue(_Altered):
    def alter(self, command: Command) -> Command:
        if isinstance(command, Load) and isinstance(command.acquire, Acquire):
            return replace(command, acquire=replace(command.acquire, patience=0))
        return command


class _IsNotAtomic(MemoryDriver):
    """Two commands at once both begin with what was there before."""

    async def execute(self, space: Space, session_id: str, command: Command, *, deadline: float | None = None) -> Reply:
        held = self._spaces.setdefault(space, OrderedDict())
        before = held.get(session_id)
        await asyncio.sleep(0)
        held.pop(session_id, None)
        if before is not None:
            held[session_id] = before
        return await super().execute(space, session_id, command, deadline=deadline)


class _ScansOnePage(MemoryDriver):
    async def scan(self, space: Space, prefix: str = "", *, cursor: str | None = None, limit: int = 500) -> Page:
        return (await super().scan(space, prefix, cursor=cursor, limit=limit))._replace(cursor=None)


class _ScansTheDead(MemoryDriver):
    async def scan(self, space: Space, prefix: str = "", *, cursor: str | None = None, limit: int = 500) -> Page:
        return Page([name for name in self._spaces.get(space, {}) if name.startswith(prefix)], None)


class _TellsNoChange(MemoryDriver):
    async def watch(self, space: Space, prefix: str = "", *, session_id: str | None = None) -> AsyncIterator[Change]:
        yield Change(None)
        await asyncio.Event().wait()


class _MixesNamespaces(MemoryDriver):
    async def execute(self, space: Space, session_id: str, command: Command, *, deadline: float | None = None) -> Reply:
        return await super().execute(space._replace(namespace="all"), session_id, command, deadline=deadline)


BROKEN: list[tuple[type[MemoryDriver], str]] = [
    (_AppliesRetriesAgain, "the_same_commit_twice_is_applied_once_and_answered_alike"),
    (_AppliesRetriesAgain, "the_same_delete_twice_is_one_delete"),
    (_ForgetsRefusals, "a_refused_retry_stays_refused"),
    (_NeverTooLate, "after_its_deadline_a_command_is_refused"),
    (_LosesTheTtl, "a_session_lives_until_its_ttl_and_not_a_millisecond_longer"),
    (_LosesTheTtl, "the_ttl_is_still_set_after_ten_updates"),
    (_TouchesWhenRead, "an_inspection_does_not_extend_a_life"),
    (_IgnoresGuards, "guards_hold_or_nothing_changes"),
    (_IgnoresGuards, "fields_changed_meanwhile_conflict_and_others_merge"),
    (_IgnoresGuards, "a_session_deleted_meanwhile_does_not_rise_again"),
    (_IgnoresTokens, "a_lease_ends_when_due_and_its_holder_is_too_late"),
    (_IgnoresTokens, "an_ended_lease_is_lost_even_if_nobody_took_it"),
    (_HasNoQueue, "a_freed_session_goes_to_the_first_in_the_queue_alone"),
    (_IsNotAtomic, "a_hundred_increments_at_once_are_a_hundred"),
    (_IsNotAtomic, "exactly_one_of_many_is_told_yes"),
    (_ScansOnePage, "ids_gives_all_with_the_prefix_and_no_other"),
    (_ScansTheDead, "what_is_deleted_or_only_held_is_not_given"),
    (_TellsNoChange, "changes_are_hinted_once_watching_has_begun"),
    (_MixesNamespaces, "namespaces_do_not_see_each_other"),
]


@pytest.mark.parametrize(("kind", "name"), BROKEN, ids=lambda value: getattr(value, "__name__", value))
def test_a_driver_that_breaks_its_promise_is_found_out(
    kind: type[MemoryDriver], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Suite(DriverContract):
        def make_driver(self, clock: ManualClock | None) -> Driver:
            return kind() if clock is None else kind(clock=clock)

    monkeypatch.setattr(_sharing.until, "__defaults__", (0.2,))
    case: Any = getattr(Suite(), f"test_{name}")
    with pytest.raises((AssertionError, pytest.fail.Exception, LookupError, Refused)):
        case()


def test_a_suite_that_says_not_how_to_make_its_driver_is_told_so() -> None:
    with pytest.raises(NotImplementedError, match="make_driver"):
        DriverContract().test_state_and_props_are_apart()
