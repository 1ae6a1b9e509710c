"""Scenes are kept in the session: saved with it, gone with it, and found under its name only."""

from __future__ import annotations

from typing import Any

import pytest

from gridsession import SessionStore
from gridsession.dialects.opengram import Scenes, session
from gridsession.drivers.memory import MemoryDriver
from gridsession.errors import UsageError
from gridsession.testing.clock import ManualClock
from tests.dialects.opengram.contexts import Ctx, raw, update

SCENES = Scenes()


def enter(ctx: Any) -> None:
    """Go into a scene that asks for an address."""
    SCENES.enter(ctx, "address", {"asked": 0})


def ask(ctx: Any) -> tuple[str | None, int]:
    """Where the conversation is, and how often it asked."""
    SCENES.state(ctx)["asked"] += 1
    return SCENES.current(ctx), SCENES.state(ctx)["asked"]


async def test_a_scene_and_its_data_last_until_it_is_left(sessions: SessionStore) -> None:
    async with sessions:
        use = session(store=sessions)
        assert await update(use, Ctx(), SCENES.current) is None
        await update(use, Ctx(), enter)
        assert [await update(use, Ctx(), ask) for _ in range(2)] == [("address", 1), ("address", 2)]
        assert await update(use, Ctx(user=2), SCENES.current) is None
        await update(use, Ctx(), SCENES.leave)
        await update(use, Ctx(), SCENES.leave)
        assert await update(use, Ctx(), SCENES.current) is None
        with pytest.raises(UsageError, match="no scene"):
            await update(use, Ctx(), ask)


async def test_scenes_of_raw_updates(sessions: SessionStore) -> None:
    async with sessions:
        use = session(store=sessions)
        await update(use, raw(), enter)
        assert [await update(use, raw(), ask) for _ in range(2)] == [("address", 1), ("address", 2)]


async def test_when_the_session_expires_the_user_is_no_longer_in_the_scene() -> None:
    clock = ManualClock()
    async with session(ttl=60, store=MemoryDriver(clock=clock)) as use:
        await update(use, Ctx(), enter)
        clock.advance(59)
        assert await update(use, Ctx(), SCENES.current) == "address"
        clock.advance(60)
        assert await update(use, Ctx(), SCENES.current) is None


async def test_when_the_session_is_deleted_so_is_the_scene(sessions: SessionStore) -> None:
    def delete(ctx: Any) -> None:
        ctx.session = None
        with pytest.raises(UsageError, match="deleted"):
            SCENES.current(ctx)

    async with sessions:
        use = session(store=sessions)
        await update(use, Ctx(), enter)
        await update(use, Ctx(), delete)
        assert await update(use, Ctx(), SCENES.current) is None


@pytest.mark.parametrize("make", [Ctx, raw])
async def test_scenes_next_to_a_renamed_property_raise_until_the_name_is_given(
    sessions: SessionStore, make: Any
) -> None:
    async with sessions:
        use = session(property="mine", store=sessions)
        with pytest.raises(UsageError, match=r"under 'session'.*Scenes\(property='mine'\)"):
            await update(use, make(), enter)
        named = Scenes(property="mine")
        await update(use, make(), lambda ctx: named.enter(ctx, "address"))
        assert await update(use, make(), named.current) == "address"


async def test_scenes_without_the_middleware_or_without_a_key_raise() -> None:
    with pytest.raises(UsageError, match="middleware"):
        SCENES.current(Ctx())
    async with session(store="memory://") as use:
        with pytest.raises(UsageError, match="no session"):
            await update(use, Ctx(None), SCENES.current)
