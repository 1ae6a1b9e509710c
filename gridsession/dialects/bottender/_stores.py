"""Bottender's session stores, and any place of ours as one."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
from types import TracebackType
from typing import Any, Final, Self

from gridsession import RESTART, Policy, SessionId, SessionStore, Turn
from gridsession.dialects.bottender._places import (
    YEAR,
    Options,
    file_url,
    memory_url,
    mongo_url,
    redis_url,
    seconds_of,
    without_login,
)
from gridsession.dialects.bottender._shape import LAST_ACTIVITY, operations_of, session_of, shown_id, stored_id
from gridsession.drivers import Driver
from gridsession.drivers.mapping import MappingDriver
from gridsession.errors import InvalidOption
from gridsession.policy import Duration, milliseconds

Lifetime = float | dt.timedelta | None
"""In minutes (toolbot: seconds), or a timedelta; `math.inf` = for ever."""

_READS: Final = 16
"""How many sessions `all` reads at once."""


class GridSessionStore:
    """Any place of ours for code that expects a Bottender store: init, read, write, destroy, all.

    A session is a plain dict, `{"id": ..., "platform": ..., "_state": {...}, "lastActivity": ..., "user": {...}}`:
    `_state` is the session's state, what else it holds its props, and `id` and `platform` follow from the id. Ids are
    any text. `write` replaces the session whole and restarts its expiry; it does not wait for turns, as no verb does.

    Args:
        place: a URL of any driver; a `SessionStore` or a driver, which stays open; or a user's own store, anything with
            read, write, destroy (and init, all) or with get and set: it is given readable documents, one per session,
            and is safe among the users of this object only. None: `GRIDSESSION_URL`.
        expires_in: minutes, or a timedelta, from the last write until a session ends; `math.inf` = never. None: as the
            place has it (`?ttl=`, `Policy`).

    Attributes:
        sessions: the same sessions with our own API; usable from `init` on.
        expires_in: seconds; None = never, or nobody said: then a session keeps the life that it was given elsewhere.

    Raises:
        InvalidOption: what was given is no place, or no time.
    """

    unit: float = 60.0
    """Seconds in one of what `expires_in` is given in."""

    def __init__(self, place: str | SessionStore | Driver | object | None = None, expires_in: Lifetime = None) -> None:
        life = seconds_of(expires_in, self.unit)
        self._owns: list[SessionStore | Driver] = []
        self.sessions = self._made(place, Policy(ttl=life))
        if expires_in is None and self.sessions.policy.ttl is not None:
            life = milliseconds(self.sessions.policy.ttl, "ttl") / 1000
        self.expires_in: float | None = life
        self._nobody_said = expires_in is None and life is None

    def __repr__(self) -> str:
        # Never the place: URLs hold passwords.
        return f"<{type(self).__name__}, {'never expires' if self.expires_in is None else f'{self.expires_in:g} s'}>"

    async def __aenter__(self) -> Self:
        return await self.init()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def init(self) -> Self:
        """Connect; a second call does nothing, but one after a failure tries again.

        Raises:
            Unavailable: the place cannot be reached. (Bottender's logs it, and then takes every session for new.)
        """
        await self.sessions.connect()
        return self

    async def aclose(self) -> None:
        """Give back what was opened here."""
        while self._owns:
            await self._owns.pop().aclose()

    async def read(self, session_id: str) -> dict[str, Any] | None:
        """The session, or None if there is none, never was, or it expired. The dict is the caller's own.

        Raises:
            GridSessionError: it could not be read, which says nothing about whether it is there.
        """
        named = stored_id(session_id)
        snapshot = await self.sessions.session(named).load()
        return self._shown(session_of(named, snapshot)) if snapshot.exists else None

    async def write(self, session_id: str, session: Any) -> None:
        """Put a session in the place of what was there, and restart its expiry.

        Args:
            session: a mapping; its `id` and `platform` are those of `session_id`, whatever it says.

        Raises:
            InvalidValue: not a mapping, or it holds what cannot be stored.
        """
        named = stored_id(session_id)
        made = operations_of(named, self._kept(session))
        ttl = RESTART if self._nobody_said else self.expires_in
        await self.sessions.session(named).commit(*made, clear=True, clear_props=True, ttl=ttl)

    async def destroy(self, session_id: str) -> None:
        """Delete a session; one that is not there is no error."""
        await self.sessions.session(stored_id(session_id)).delete()

    def turn(self, session_id: SessionId, *, wait: Duration | None = None, message: object | None = None) -> Turn:
        """A session held alone, as `SessionStore.turn` has it; its commit restarts the expiry as `write` does."""
        ttl = RESTART if self._nobody_said else self.expires_in
        return self.sessions.turn(session_id, wait=wait, message=message, ttl=ttl)

    async def all(self) -> list[dict[str, Any]]:
        """All sessions, by `lastActivity`, the latest first. They are read one by one: for stores of modest size."""
        gate = asyncio.Semaphore(_READS)

        async def found(session_id: str) -> dict[str, Any] | None:
            async with gate:
                return await self.read(shown_id(session_id))

        ids = dict.fromkeys([session_id async for session_id in self.sessions.ids()])
        sessions = [session for session in await asyncio.gather(*map(found, ids)) if session is not None]
        return sorted(sessions, key=_last_activity, reverse=True)

    def _kept(self, session: Any) -> Any:
        """A session in Bottender's form."""
        return session

    def _shown(self, session: dict[str, Any]) -> dict[str, Any]:
        """A session of Bottender's form, as this store shows it."""
        return session

    def _made(self, place: object, policy: Policy) -> SessionStore:
        if isinstance(place, (SessionStore, GridSessionStore)):
            return place if isinstance(place, SessionStore) else place.sessions
        if place is None or isinstance(place, str):
            try:
                made = SessionStore.open(place, policy=policy if policy.ttl is not None else None)
            except InvalidOption as error:
                raise InvalidOption(without_login(place or "", str(error))) from None
        elif isinstance(place, Driver):
            made = SessionStore.open(driver=place, policy=policy)
        else:
            # What was destroyed must be gone for its owner too; there may be no `all` to find remains by.
            driver = MappingDriver(place, tombstones=False)
            self._owns.append(driver)
            made = SessionStore.open(driver=driver, policy=policy)
        self._owns.append(made)
        return made


class MemorySessionStore(GridSessionStore):
    """Sessions in this process: `MemorySessionStore(max_size, expires_in)`, `MemorySessionStore({"maxSize": 500})`.

    Args:
        max_size: beyond it the least recently used sessions are forgotten; None = no limit.
        expires_in: as `GridSessionStore`'s; None or 0 = a year.
    """

    def __init__(self, max_size: float | Options | None = None, expires_in: Lifetime = None) -> None:
        super().__init__(memory_url(max_size), expires_in or YEAR)


class FileSessionStore(GridSessionStore):
    """Sessions in files, shared by the processes of one host: `FileSessionStore("sessions", expires_in)`.

    Args:
        dirname: a directory, or `{"dirname": ...}`; made if it is not there. None = `.sessions`.
        expires_in: as `GridSessionStore`'s; None or 0 = a year.
    """

    def __init__(self, dirname: str | os.PathLike[str] | Options | None = None, expires_in: Lifetime = None) -> None:
        super().__init__(file_url(dirname), expires_in or YEAR)


class MongoSessionStore(GridSessionStore):
    """Sessions in MongoDB: `MongoSessionStore(url, {"collectionName": ...}, expires_in)`, as 0.15.17 has it, or
    `MongoSessionStore(url, expires_in)` and `MongoSessionStore({"url": ..., "collectionName": ...}, expires_in)`, as
    1.0.5 has it.

    Args:
        url: one host or several, with MongoDB's own options; None = 127.0.0.1:27017. The database is the one it names,
            else `gridsession`.
        options: `collection_name`, `sessions` by default; or the expiry.
        expires_in: as `GridSessionStore`'s; None or 0 = a year.

    Raises:
        InvalidOption: not a URL of MongoDB, an option that is not known, or pymongo is missing (`gridsession[mongo]`).
    """

    def __init__(
        self,
        url: str | Options | None = None,
        options: Options | float | dt.timedelta | None = None,
        expires_in: Lifetime = None,
    ) -> None:
        if isinstance(options, (int, float, dt.timedelta)):
            if expires_in:
                raise InvalidOption("give MongoSessionStore its expiry once: as the second argument or as the third")
            options, expires_in = None, options
        super().__init__(mongo_url(url, options), expires_in or YEAR)


class RedisSessionStore(GridSessionStore):
    """Sessions in Redis: `RedisSessionStore(6380)`, `RedisSessionStore("redis://:password@host:6379/0", expires_in)`,
    `RedisSessionStore({"host": ..., "port": ..., "password": ..., "db": ..., "family": 4}, expires_in)`.

    Args:
        option: a port, a URL, or host, port, username, password, db, family (4 or 6), tls and key_prefix by name.
            None = 127.0.0.1:6379.
        expires_in: as `GridSessionStore`'s; None or 0 = a year.

    Raises:
        InvalidOption: a URL or an option that makes no sense, or redis-py is missing (`gridsession[redis]`).
    """

    def __init__(self, option: str | int | Options | None = None, expires_in: Lifetime = None) -> None:
        super().__init__(redis_url(option), expires_in or YEAR)


def _last_activity(session: dict[str, Any]) -> float:
    found = session.get(LAST_ACTIVITY)
    return found if isinstance(found, (int, float)) else 0.0
