"""The example of deploy/README.md, "Write your own adapter": a framework's storage in twenty lines."""

from __future__ import annotations

# --- adapter ---
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gridsession import SessionId, SessionStore


class GridMemory:
    def __init__(self, store: SessionStore) -> None:
        self._store = store  # lent: whoever opened it closes it

    def _id(self, bot: str, user: str) -> SessionId:
        return SessionId("memory", f"{len(bot)}:{bot}:{user}")  # no two pairs share one

    async def add(self, bot: str, user: str, *texts: str) -> int:
        return await self._store.session(self._id(bot, user)).append("texts", *texts, keep=1000)

    async def latest(self, bot: str, user: str, number: int) -> list[str]:
        return await self._store.session(self._id(bot, user)).get("texts", [], type=list[str], last=number)

    async def forget(self, bot: str, user: str) -> bool:
        return await self._store.session(self._id(bot, user)).delete()

    @asynccontextmanager
    async def facts(self, bot: str, user: str) -> AsyncIterator[dict[str, Any]]:
        async with self._store.turn(self._id(bot, user)) as turn:  # read, change, write: alone
            yield turn.props


# --- end ---
