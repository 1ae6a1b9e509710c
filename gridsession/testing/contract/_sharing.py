"""Cases of the contract: many at once, in one process and in several; finding sessions; hearing of changes."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from gridsession import Policy
from gridsession.testing.contract._place import ID, SOON, Place, case, until
from gridsession.testing.contract._workers import run_everywhere


class SharingCases:
    """What one writes all see, and of two changes at once none is lost."""

    @case
    async def test_two_stores_share_what_either_writes(self, place: Place) -> None:
        one, two = await place.store(), await place.store(driver=await place.another())
        await one.session(ID).update(a=1)
        assert dict(await two.session(ID).update(b=2)) == {"a": 1, "b": 2}
        assert dict(await one.session(ID).load()) == {"a": 1, "b": 2}
        assert await two.session(ID).delete()
        assert not await one.session(ID).exists()

    @case
    async def test_namespaces_do_not_see_each_other(self, place: Place) -> None:
        here = await place.store()
        place.namespace += "-b"
        there = await place.store()
        await here.session(ID).set("a", 1)
        await here.globals.set("g", 1)
        assert not await there.session(ID).exists()
        assert await there.globals.get("g", fresh=True) is None
        assert [session_id async for session_id in there.ids()] == []

    @case
    async def test_a_hundred_increments_at_once_are_a_hundred(self, place: Place) -> None:
        await self._count(place, "increment")

    @case
    async def test_a_hundred_turns_at_once_are_a_hundred(self, place: Place) -> None:
        await self._count(place, "turn")

    @case
    async def test_a_hundred_runs_at_once_are_a_hundred(self, place: Place) -> None:
        await self._count(place, "run")

    async def _count(self, place: Place, job: str) -> None:
        processes = (1, 2, 4) if place.promise.atomic.value != "process" else (1,)
        for number, count in enumerate(processes):
            session_id = f"test:{number}"
            await run_everywhere(place, count, job, session_id, 100 // count)
            store = await place.store(driver=await place.in_real_time())
            assert await store.session(session_id).get("n") == 100, f"{job} from {count} processes"

    @case
    async def test_exactly_one_of_many_is_told_yes(self, place: Place) -> None:
        store = await place.store(driver=await place.in_real_time())
        await store.session(ID).update({f"ticket{number}": number for number in range(20)})
        for job in ("remember", "take", "allow", "create"):
            winners: Counter[Any] = Counter()
            for told in await run_everywhere(place, 4, job, ID, 20):
                winners.update(told)
            assert winners == dict.fromkeys(range(20), 1), job

    @case
    async def test_fields_written_at_once_all_survive(self, place: Place) -> None:
        await run_everywhere(place, 4, "update", ID, 20)
        store = await place.store(driver=await place.in_real_time())
        snapshot = await store.session(ID).load()
        assert sorted(snapshot.values()) == sorted([*range(20)] * 4)


class ScanCases:
    """Finding sessions: one that is there throughout is given."""

    @case
    async def test_ids_gives_all_with_the_prefix_and_no_other(self, place: Place) -> None:
        store = await place.store()
        for number in range(30):
            await store.session(f"line:{number}").set("a", 1)
            await store.session(f"line2:{number}").set("a", 1)
        assert await _all_ids(place, "line:") == {f"line:{number}" for number in range(30)}
        assert await _all_ids(place, "line") == {f"line{two}:{number}" for number in range(30) for two in ("", "2")}
        assert await _all_ids(place, "none:") == set()
        assert {session_id async for session_id in store.ids("line2:")} == {f"line2:{number}" for number in range(30)}

    @case
    async def test_pages_lose_nothing_while_sessions_come_and_go(self, place: Place) -> None:
        store = await place.store()
        stay, go = [[f"test:{name}{number}" for number in range(60)] for name in ("stay", "go")]
        await asyncio.gather(*(store.session(session_id).set("a", 1) for session_id in stay + go))
        seen: list[str] = []
        cursor, pages = None, 0
        while True:
            page = await place.driver.scan(place.space, cursor=cursor, limit=10)
            assert len(page.ids) <= 10
            seen += page.ids
            if go:
                await store.session(go.pop()).delete()
                await store.session(f"test:come{pages}").set("a", 1)
            pages += 1
            cursor = page.cursor
            if cursor is None:
                break
        assert set(stay) <= set(seen)
        assert pages >= 6, "a page of ten held all"

    @case
    async def test_what_is_deleted_or_only_held_is_not_given(self, place: Place) -> None:
        store = await place.store()
        for number in range(3):
            await store.session(f"test:{number}").set("a", 1)
        await store.session("test:1").delete()
        await place.acquire(session_id="test:held")
        assert await _all_ids(place) == {"test:0", "test:2"}


class WatchCases:
    """Hints of changes."""

    @case
    async def test_changes_are_hinted_once_watching_has_begun(self, place: Place) -> None:
        store, other = await place.store(), await place.store(driver=await place.another())
        heard: list[str | None] = []
        begun = asyncio.Event()

        async def listen() -> None:
            async for change in store.watch("test:"):
                if not begun.is_set():
                    assert change.id is None
                    begun.set()
                heard.append(change.id)

        listener = asyncio.create_task(listen())
        try:
            async with asyncio.timeout(SOON):
                await begun.wait()
            for change in (lambda: other.session(ID).update(a=1), other.session(ID).delete):
                heard.clear()
                await other.session("else:1").set("a", 1)
                await change()
                await until(_heard(heard), "a hint of a change")
                assert "else:1" not in heard
        finally:
            listener.cancel()
            with pytest.raises(asyncio.CancelledError):
                await listener


class GlobalCases:
    """Globals: atomic each, read by all."""

    @case
    async def test_a_global_is_read_by_all(self, place: Place) -> None:
        one, two = await place.store(), await place.store(driver=await place.another())
        assert await two.globals.get("greeting", "none") == "none"
        await one.globals.set("greeting", {"th": "สวัสดี"})
        assert await one.globals.get("greeting") == {"th": "สวัสดี"}
        assert await two.globals.get("greeting", fresh=True) == {"th": "สวัสดี"}
        await until(_reads(two, "greeting", {"th": "สวัสดี"}), "a global set elsewhere")
        await one.globals.update({"a": 1}, b=2)
        assert await one.globals.load() == {"greeting": {"th": "สวัสดี"}, "a": 1, "b": 2}
        assert await two.globals.load(fresh=True) == await one.globals.load()
        assert await one.globals.delete("greeting")
        assert await one.globals.get("greeting") is None
        await until(_reads(two, "greeting", None), "a global deleted elsewhere")
        assert not await two.globals.delete("greeting")
        assert {name async for name in two.globals.names()} == {"a", "b"}

    @case
    async def test_a_global_has_the_verbs_of_a_field(self, place: Place) -> None:
        found = (await place.store()).globals
        assert [await found.increment("n"), await found.increment("n", 5)] == [1, 6]
        assert await found.append("log", 1, 2, 3, keep=2) == 2
        assert [await found.pop("log"), await found.pop("log", first=True), await found.pop("log", "none")] == [
            3,
            2,
            "none",
        ]
        assert [await found.setdefault("x", 1), await found.setdefault("x", 2)] == [1, 1]
        assert await found.compare_and_set("x", 1, 3)
        assert not await found.compare_and_set("x", 1, 4)
        assert await found.get("x") == 3
        assert [await found.take("x"), await found.take("x", "none")] == [3, "none"]
        assert [await found.remember("seen", "m1"), await found.remember("seen", "m1")] == [True, False]
        assert [await found.allow("gate", every=3600), await found.allow("gate", every=3600)] == [True, False]
        await found.clear(retain=["n"])
        assert await found.load() == await found.load(fresh=True) == {"n": 6}
        assert await found.remove("n", "nothing")
        assert not await found.exists("n")

    @case
    async def test_a_global_may_have_a_ttl(self, place: Place) -> None:
        store = await place.store(Policy(ttl=None))
        await store.globals.set("forever", 1)
        await store.globals.set("offer", 1, ttl=0.2)
        assert await store.globals.ttl("forever") is None
        left = await store.globals.ttl("offer")
        assert left is not None
        assert left <= 0.2
        assert await store.globals.touch("offer", ttl=0.3)
        await place.pass_until(await place.now() + 300)
        # A global lives elsewhere than the session whose clock that was.
        await until(_reads(store, "offer", None, fresh=True), "the end of a global in its record", seconds=1)
        await until(_reads(store, "offer", None), "the end of a global")
        assert await store.globals.load() == {"forever": 1}

    @case
    async def test_a_hundred_increments_of_a_global_are_a_hundred(self, place: Place) -> None:
        await run_everywhere(place, 4, "global", "n", 25)
        store = await place.store(driver=await place.in_real_time())
        assert await store.globals.get("n", fresh=True) == 100
        await until(_reads(store, "n", 100), "a global counted elsewhere")


async def _all_ids(place: Place, prefix: str = "") -> set[str]:
    found: list[str] = []
    cursor = None
    while True:
        page = await place.driver.scan(place.space, prefix, cursor=cursor, limit=7)
        found += page.ids
        cursor = page.cursor
        if cursor is None:
            return set(found)


def _heard(heard: list[str | None]) -> Any:
    async def asked() -> bool:
        # A gap (None) is a hint too: anything may have changed.
        return ID in heard or None in heard

    return asked


def _reads(store: Any, name: str, value: object, *, fresh: bool = False) -> Any:
    async def asked() -> bool:
        return bool(await store.globals.get(name, fresh=fresh) == value)

    return asked
