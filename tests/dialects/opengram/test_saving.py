"""When a session is saved, and how long it lives."""

from __future__ import annotations

import datetime as dt
import warnings
from typing import Any

import pytest

from gridsession import SessionStore
from gridsession.dialects.opengram import session
from gridsession.drivers.memory import MemoryDriver
from gridsession.errors import Conflict, InvalidOption
from gridsession.testing.clock import ManualClock
from tests.dialects.opengram.contexts import Ctx, assign, count, read, update


def look(ctx: Any) -> None:
    """Read a field and change nothing."""
    assert ctx.session.a == 1


@pytest.mark.parametrize(
    ("save", "handler", "writes"),
    [
        ("changed", lambda ctx: None, 0),
        ("changed", look, 0),
        ("changed", assign({"a": 1}), 0),
        ("changed", lambda ctx: setattr(ctx.session, "a", 2), 1),
        ("touched", lambda ctx: None, 0),
        ("touched", look, 1),
        ("touched", lambda ctx: ctx.session, 1),
        ("touched", lambda ctx: setattr(ctx.session, "a", 2), 1),
        ("always", lambda ctx: None, 1),
        ("always", look, 1),
        ("always", lambda ctx: setattr(ctx.session, "a", 2), 1),
    ],
)
async def test_when_a_session_is_saved(sessions: SessionStore, save: Any, handler: Any, writes: int) -> None:
    async with sessions:
        before = await sessions.session("opengram:1:2").update(a=1)
        await update(session(store=sessions, save=save), Ctx(), handler)
        after = await sessions.session("opengram:1:2").load()
        assert after.revision.number - before.revision.number == writes


@pytest.mark.parametrize(("save", "there"), [("changed", False), ("touched", False), ("always", True)])
async def test_who_touches_nothing_begins_a_session_only_if_always_is_asked_for(
    sessions: SessionStore, save: Any, there: bool
) -> None:
    async with sessions:
        await update(session(store=sessions, save=save), Ctx(), lambda ctx: None)
        assert await sessions.session("opengram:1:2").exists() is there


@pytest.mark.parametrize("save", ["changed", "touched", "always"])
async def test_a_failed_handler_saves_nothing_under_any_policy(sessions: SessionStore, save: Any) -> None:
    def fails(ctx: Any) -> None:
        ctx.session.a = 2
        raise ZeroDivisionError

    async with sessions:
        with pytest.raises(ZeroDivisionError):
            await update(session(store=sessions, save=save), Ctx(), fails)
        assert not await sessions.session("opengram:1:2").exists()


async def test_a_field_changed_by_a_verb_meanwhile_is_a_conflict_and_another_survives(sessions: SessionStore) -> None:
    async def handler(ctx: Any, value: int, **meanwhile: int) -> None:
        ctx.session.a = value
        await sessions.session("opengram:1:2").update(meanwhile)

    async with sessions:
        use = session(store=sessions)
        await update(use, Ctx(), lambda ctx: handler(ctx, 2, b=1))
        assert await update(use, Ctx(), read) == {"a": 2, "b": 1}
        with pytest.raises(Conflict):
            await update(use, Ctx(), lambda ctx: handler(ctx, 3, a=5))
        assert await update(use, Ctx(), read) == {"a": 5, "b": 1}


# --- time to live ----------------------------------------------------------------------------------------------------


@pytest.fixture
def clock() -> ManualClock:
    """A clock that tests move."""
    return ManualClock()


@pytest.mark.parametrize("save", ["changed", "touched", "always"])
async def test_an_update_restarts_the_ttl_in_seconds(clock: ManualClock, save: Any) -> None:
    async with session(ttl=60, store=MemoryDriver(clock=clock), save=save) as use:
        await update(use, Ctx(), count)
        for _ in range(3):
            clock.advance(59)
            assert await update(use, Ctx(), lambda ctx: None) is None
        clock.advance(59.999)
        assert await update(use, Ctx(), count) == 2
        clock.advance(60)
        assert await update(use, Ctx(), count) == 1


async def test_a_failed_update_restarts_nothing(clock: ManualClock) -> None:
    def fails(ctx: Any) -> None:
        raise ZeroDivisionError

    async with session(ttl=60, store=MemoryDriver(clock=clock)) as use:
        await update(use, Ctx(), count)
        clock.advance(59)
        with pytest.raises(ZeroDivisionError):
            await update(use, Ctx(), fails)
        clock.advance(1)
        assert await update(use, Ctx(), count) == 1


async def test_the_setter_is_for_the_updates_from_now_on(clock: ManualClock) -> None:
    async with session(ttl=60, store=MemoryDriver(clock=clock)) as use:
        assert use.ttl == 60
        await update(use, Ctx(), count)
        use.ttl = dt.timedelta(minutes=5)
        assert use.ttl == dt.timedelta(minutes=5)
        clock.advance(59)
        await update(use, Ctx(), count)
        clock.advance(299)
        assert await update(use, Ctx(), count) == 3
        use.ttl = None
        await update(use, Ctx(), count)
        clock.advance(365 * 86400)
        assert await update(use, Ctx(), count) == 5


async def test_the_ttl_is_kept_where_the_store_keeps_the_time(sessions: SessionStore) -> None:
    async with sessions:
        use, one = session(ttl=60, store=sessions), sessions.session("opengram:1:2")
        await update(use, Ctx(), count)
        assert 50 < (await one.ttl() or 0) <= 60
        use.ttl = 3600
        await update(use, Ctx(), lambda ctx: None)
        assert 3590 < (await one.ttl() or 0) <= 3600


async def test_without_a_ttl_it_is_the_stores() -> None:
    async with session(store="memory://?ttl=900") as use:
        await update(use, Ctx(), count)
        assert 890 < (await use.sessions.session("opengram:1:2").ttl() or 0) <= 900
        assert use.ttl is None


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), "60", True])
def test_a_ttl_that_makes_no_sense_is_refused(ttl: Any) -> None:
    with pytest.raises(InvalidOption, match="ttl"):
        session(ttl=ttl, store="memory://")


@pytest.mark.parametrize(
    "options",
    [{"save": "never"}, {"none": "keep"}, {"property": "my session"}, {"store_ttl": "ms"}, {"get_session_key": {}}],
)
def test_an_option_that_makes_no_sense_is_refused(options: Any) -> None:
    with pytest.raises(InvalidOption, match=next(iter(options))):
        session(store="memory://", **options)


def test_nothing_is_opened_before_the_first_update() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "session" in repr(session(store="redis://127.0.0.1:1/0"))
