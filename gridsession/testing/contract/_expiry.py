"""Cases of the contract: the end of sessions that somebody asked about is told, claimed and acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from gridsession import ExpiredSession, Policy
from gridsession._commands import AckExpired, ClaimExpired, Set
from gridsession._link import new_id
from gridsession._record import PROPS, STATE, Record, encode_field
from gridsession._reply import Reply, Status
from gridsession._store import SessionStore
from gridsession.errors import StoreClosed
from gridsession.testing.contract._place import ID, Place, case, until

ONE = encode_field(1)
LIFE = 60
"""How long sessions live that a case lets expire, ms."""
CLAIM = 30_000


class ExpiryCases:
    """What expired waits, with its data, until exactly one has acknowledged it. Nobody else pays for it."""

    @case
    async def test_what_expired_is_told_claimed_and_acknowledged_once(self, place: Place) -> None:
        if not _tells(place):
            return
        made = await _expired(place, Set(STATE, "a", ONE), Set(PROPS, "p", ONE))
        await _told(place)
        claim_id = new_id()
        claimed = await place.ask(ClaimExpired(claim_id, CLAIM, place.not_after()))
        assert claimed.status is Status.OK
        assert claimed.bags == ({"a": ONE}, {"p": ONE}, None)
        assert (claimed.epoch, claimed.revision) == (made.epoch, made.revision)
        assert claimed.life is not None
        assert claimed.life.expires_at == made.now + LIFE
        assert claimed.results == (b"\x01\x00",)
        assert (await _claim(place)).status is Status.LEASED
        acknowledgement = AckExpired(claim_id, place.not_after())
        first, again = await place.ask(acknowledgement), await place.ask(acknowledgement)
        assert (first.status, again.status, again.duplicate) == (Status.OK, Status.OK, True)
        assert (await _claim(place)).status is Status.ABSENT

    @case
    async def test_only_those_who_asked_are_told_of(self, place: Place) -> None:
        if not _tells(place):
            return
        silent, deleted, alive = "test:silent", "test:deleted", "test:alive"
        await place.create(silent, Set(STATE, "a", ONE), ttl=LIFE)
        sessions = (await place.store(Policy(announce_expiry=True, ttl=600))).session
        await sessions(deleted).set("a", 1)
        await sessions(deleted).delete()
        await sessions(alive).set("a", 1)
        await _expired(place, Set(STATE, "a", ONE))
        assert await _told(place) == [ID]
        for session_id in (silent, deleted, alive):
            assert (await _claim(place, session_id)).status is Status.ABSENT

    @case
    async def test_a_message_that_comes_first_does_not_overwrite_what_expired(self, place: Place) -> None:
        if not _tells(place):
            return
        made = await _expired(place, Set(STATE, "a", ONE))
        session = (await place.store()).session(ID)
        assert await session.increment("n") == 1
        async with (await place.store()).turn(ID) as turn:
            turn.state["t"] = 1
        assert await _told(place) == [ID]
        claimed = await _claim(place)
        assert (claimed.status, claimed.epoch, claimed.bags[STATE]) == (Status.OK, made.epoch, {"a": ONE})
        assert dict(await session.load()) == {"n": 1, "t": 1}

    @case
    async def test_a_claim_that_ended_is_another_s_and_its_holder_cannot_acknowledge(self, place: Place) -> None:
        if not _tells(place):
            return
        await _expired(place)
        dead, heir = new_id(), new_id()
        first = await place.ask(ClaimExpired(dead, 40, place.not_after()))
        assert first.grant is not None
        renewed = await place.ask(ClaimExpired(dead, 90, place.not_after(), renew=True))
        assert renewed.grant is not None
        assert renewed.grant.until >= first.grant.until + 50
        async for _ in place.moments(renewed.grant.until):
            reply = await place.ask(ClaimExpired(heir, CLAIM, place.not_after()))
            assert (reply.status is Status.OK) is (reply.now >= renewed.grant.until)
        assert reply.grant is not None
        assert reply.grant.token == 2
        for command, status in (
            (ClaimExpired(dead, CLAIM, place.not_after(), renew=True), Status.LEASE_LOST),
            (AckExpired(dead, place.not_after()), Status.LEASE_LOST),
            (AckExpired(heir, place.not_after()), Status.OK),
        ):
            assert (await place.ask(command)).status is status

    @case
    async def test_handlers_are_told_once_and_again_after_they_failed(self, place: Place) -> None:
        if not _tells(place):
            return
        await place.ask(place.commit(Set(STATE, "a", ONE), announce=True, created_ttl=600, created_max_lifetime=LIFE))
        due = await place.now() + LIFE
        stores = [await place.store(), await place.store(driver=await place.another())]
        told: list[ExpiredSession] = []

        async def handle(expired: ExpiredSession) -> None:
            told.append(expired)
            if len(told) == 1:
                raise ValueError("a handler of the contract fails once")

        for store in stores:
            store.on_expire(handle, claim=1)
        await place.pass_until(due)
        await _until_told(place, told, 1)
        # Its claim ends; then it is told of again, some seconds of the place's clock after it was the last time.
        if place.clock is not None:
            await place.pass_until(due + 6_000)
        await _until_told(place, told, 2)
        await until(lambda: _is_done(place), "the acknowledgement")
        assert [(one.id, one.reason, one.attempt, dict(one.state)) for one in told] == [
            (ID, "max_lifetime", attempt, {"a": 1}) for attempt in (1, 2)
        ]
        assert [one.is_acknowledged for one in told] == [False, True]

    @case
    async def test_closing_waits_for_handlers_that_run(self, place: Place) -> None:
        if not _tells(place):
            return
        await _expired(place)
        begun, done = asyncio.Event(), asyncio.Event()
        store = SessionStore.open(driver=place.driver, namespace=place.namespace)

        @store.on_expire
        async def _(expired: ExpiredSession) -> None:
            begun.set()
            await asyncio.sleep(0.05)
            await store.session("test:log").set("seen", expired.id)
            done.set()

        async with store:
            await asyncio.wait_for(begun.wait(), _patience(place))
        assert done.is_set()
        assert await _is_done(place)

    @case
    async def test_a_loop_acknowledges_what_it_went_past_and_gives_back_what_it_left(self, place: Place) -> None:
        if not _tells(place):
            return
        for session_id in ("test:1", "test:2", "test:3"):
            await _expired(place, session_id=session_id)
        store = await place.store()
        seen = []
        async with asyncio.timeout(_patience(place)), contextlib.aclosing(store.expired()) as loop:
            async for expired in loop:
                seen.append(expired.id)
                if len(seen) == 2:
                    break
        left = {"test:1", "test:2", "test:3"} - {seen[0]}
        await until(lambda: _is_done(place, seen[0]), "the acknowledgement of what was gone past")
        assert (await _claim(place, seen[0])).status is Status.ABSENT
        for session_id in left:
            await place.pass_until(await place.now(session_id) + 5, session_id)
            await until(lambda: _is_free(place, session_id), "what was left is free again")  # noqa: B023  # awaited

    @case
    async def test_closing_the_store_ends_a_loop(self, place: Place) -> None:
        if not _tells(place):
            return
        store = SessionStore.open(driver=place.driver, namespace=place.namespace)
        await store.connect()
        waiting = asyncio.ensure_future(anext(store.expired()))
        await until(lambda: _always(bool(store._expiry._feeds)), "the loop has begun")
        await store.aclose()
        with pytest.raises(StoreClosed):
            await waiting


def _tells(place: Place) -> bool:
    """Whether the place promises to tell of expired sessions."""
    return place.promise.tells_within is not None


def _patience(place: Place) -> float:
    return (place.promise.tells_within or 0) + 10


async def _always(held: bool) -> bool:
    return held


async def _expired(place: Place, *operations: Any, session_id: str = ID) -> Reply:
    """A session that asked for it has expired; the answer to the commit that made it."""
    made = await place.ask(place.commit(*operations, announce=True, created_ttl=LIFE), session_id)
    assert made.status is Status.OK
    await place.pass_until(made.now + LIFE, session_id)
    return made


async def _told(place: Place) -> list[str]:
    """The ids that the place tells of first."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + _patience(place)
    while loop.time() < ends:
        due = await place.driver.due(place.space)
        if due.ids:
            return list(due.ids)
        await asyncio.sleep(min(due.again, 0.05))
    raise AssertionError("nothing was told of what expired")


async def _until_told(place: Place, told: list[ExpiredSession], count: int) -> None:
    await until(lambda: _always(len(told) >= count), f"{count} calls of the handler", _patience(place))


async def _claim(place: Place, session_id: str = ID) -> Reply:
    return await place.ask(ClaimExpired(new_id(), CLAIM, place.not_after()), session_id)


async def _is_done(place: Place, session_id: str = ID) -> bool:
    """Whether nothing waits for an acknowledgement; asked by who claims nothing."""
    data = await place.driver.stored(place.space, session_id)
    return data is None or Record.decode(data).announce_at is None


async def _is_free(place: Place, session_id: str) -> bool:
    data = await place.driver.stored(place.space, session_id)
    at = None if data is None else Record.decode(data).announce_at
    return at is not None and at <= await place.now(session_id)
