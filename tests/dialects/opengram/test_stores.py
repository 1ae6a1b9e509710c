"""What may be handed in as the store, and what happens to it."""

from __future__ import annotations

import asyncio
import inspect
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gridsession import Policy, SessionStore
from gridsession.dialects.opengram import session
from gridsession.drivers.mapping import MappingDriver
from gridsession.drivers.memory import MemoryDriver
from gridsession.errors import CorruptRecord, InvalidOption, OutcomeUnknown, StoreClosed, Unavailable
from gridsession.testing.clock import ManualClock
from tests.dialects.opengram.contexts import Ctx, count, read, update


class Map:
    """JavaScript's Map, as far as the documents ask for it: get and set."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.calls: list[str] = []

    def get(self, key: str) -> Any:
        """What stands there, or None."""
        self.calls.append("get")
        return json.loads(self.texts.get(key, "null"))

    def set(self, key: str, value: Any) -> None:
        """Only JSON."""
        self.calls.append("set")
        self.texts[key] = json.dumps(value)

    @property
    def sets(self) -> int:
        """How often something was written."""
        return self.calls.count("set")


class AsyncMap(Map):
    """The same, asynchronous, with what a Map has beside."""

    async def get(self, key: str) -> Any:  # type: ignore[override]
        """Not at once."""
        await asyncio.sleep(0)
        return super().get(key)

    async def set(self, key: str, value: Any) -> None:  # type: ignore[override]
        """Not at once."""
        await asyncio.sleep(0)
        super().set(key, value)

    async def delete(self, key: str) -> bool:
        """Whether it was there."""
        self.calls.append("delete")
        return self.texts.pop(key, None) is not None

    def keys(self) -> list[str]:
        """All of them."""
        return list(self.texts)


class Keyv(AsyncMap):
    """A keyv-like store: it takes a ttl, emits its errors, and can lose its connection."""

    def __init__(self) -> None:
        super().__init__()
        self.ttls: list[float | None] = []
        self.listeners: list[Any] = []
        self.down = ""

    def on(self, event: str, listener: Any) -> None:
        """As an emitter."""
        assert event == "error"
        self.listeners.append(listener)

    async def get(self, key: str) -> Any:  # type: ignore[override]
        """Fails while it is down."""
        self._check("get")
        return await super().get(key)

    async def set(self, key: str, value: Any, ttl: float | None = None) -> None:  # type: ignore[override]
        """Fails while it is down."""
        self._check("set")
        self.ttls.append(ttl)
        await super().set(key, value)

    def _check(self, what: str) -> None:
        if self.down == what:
            for listener in self.listeners:
                listener("Connection Error")
            raise ConnectionResetError(what)


@pytest.mark.parametrize("kind", [dict, Map, AsyncMap, Keyv])
async def test_any_store_with_get_and_set_holds_sessions_under_bare_keys(kind: type[Any]) -> None:
    found = kind()
    use = session(store=found)
    assert use.store is found
    assert [await update(use, Ctx(user), count) for user in (1, 2, 1)] == [1, 1, 2]
    texts = found if kind is dict else {key: json.loads(text) for key, text in found.texts.items()}
    assert {key: value["state"] for key, value in texts.items()} == {"1:2": {"counter": 2}, "2:2": {"counter": 1}}


async def test_a_store_that_takes_a_hundred_milliseconds() -> None:
    class Slow(AsyncMap):
        async def get(self, key: str) -> Any:  # type: ignore[override]
            await asyncio.sleep(0.1)
            return await super().get(key)

        async def set(self, key: str, value: Any) -> None:  # type: ignore[override]
            await asyncio.sleep(0.1)
            await super().set(key, value)

    use = session(store=Slow())
    answers = await asyncio.gather(*(update(use, Ctx(user), count) for user in (1, 2, 1, 2)))
    assert answers == [1, 1, 2, 2]


async def test_put_instead_of_set_and_none_deletes() -> None:
    class Putting(AsyncMap):
        put = AsyncMap.set
        set = None  # type: ignore[assignment]

    found = Putting()
    use = session(store=found)
    await update(use, Ctx(), count)
    assert list(found.texts) == ["1:2"]
    await update(use, Ctx(), lambda ctx: setattr(ctx, "session", None))
    assert found.texts == {}
    assert await update(use, Ctx(), count) == 1


async def test_without_a_delete_what_was_deleted_is_gone_all_the_same() -> None:
    use = session(store=Map())
    await update(use, Ctx(), count)
    await update(use, Ctx(), lambda ctx: setattr(ctx, "session", None))
    assert await update(use, Ctx(), read) == {}


@pytest.mark.parametrize(
    ("save", "handler", "sets"),
    [
        ("changed", lambda ctx: None, 0),
        ("changed", lambda ctx: ctx.session.counter, 0),
        ("changed", count, 1),
        ("touched", lambda ctx: None, 0),
        ("touched", lambda ctx: ctx.session.counter, 1),
        ("touched", count, 1),
        ("always", lambda ctx: None, 1),
        ("always", count, 1),
    ],
)
async def test_how_often_a_wrapped_store_is_written_to(save: Any, handler: Any, sets: int) -> None:
    found = AsyncMap()
    await update(session(store=found), Ctx(), count)
    found.calls.clear()
    await update(session(store=found, save=save), Ctx(), handler)
    assert found.sets == sets


async def test_a_hundred_untouched_updates_leave_a_store_as_it_was() -> None:
    found = AsyncMap()
    use = session(store=found)
    await asyncio.gather(*(update(use, Ctx(), lambda ctx: None) for _ in range(100)))
    assert found.texts == {}
    assert found.sets == 0


async def test_a_handler_that_fails_writes_nothing_at_all() -> None:
    def fails(ctx: Any) -> None:
        ctx.session.a = 1
        raise ZeroDivisionError

    found = AsyncMap()
    with pytest.raises(ZeroDivisionError):
        await update(session(store=found, ttl=60), Ctx(), fails)
    assert found.sets == 0


async def test_sessions_expire_in_a_wrapped_store() -> None:
    clock, found = ManualClock(), AsyncMap()
    use = session(ttl=60, store=MappingDriver(found, bare="opengram", clock=clock))
    await update(use, Ctx(), count)
    for _ in range(3):
        clock.advance(59)
        await update(use, Ctx(), lambda ctx: None)
    assert await update(use, Ctx(), count) == 2
    clock.advance(60)
    assert await update(use, Ctx(), count) == 1
    assert list(found.texts) == ["1:2"]


@pytest.mark.parametrize(("unit", "least"), [("seconds", 60), ("milliseconds", 60_000)])
async def test_a_store_whose_set_takes_a_ttl_is_told_it(unit: Any, least: int) -> None:
    found = Keyv()
    await update(session(ttl=60, store=found, store_ttl=unit), Ctx(), count)
    assert least <= (found.ttls[-1] or 0) <= least * 1.25
    await update(session(store=found), Ctx(), count)
    assert found.ttls[-1] is None


async def test_what_somebody_else_wrote_under_a_key_is_refused_and_left() -> None:
    found: dict[str, Any] = {"1:2": {"session": {"counter": 7}, "expires": None}}
    with pytest.raises(CorruptRecord, match="1:2"):
        await update(session(store=found), Ctx(), count)
    assert found == {"1:2": {"session": {"counter": 7}, "expires": None}}


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("down", "error"), [("get", Unavailable), ("set", OutcomeUnknown)])
async def test_errors_of_the_store_are_reported_and_raised(down: str, error: type[Exception]) -> None:
    found, theirs, ours = Keyv(), [], []
    found.on("error", theirs.append)

    async def report(problem: Exception) -> None:
        await asyncio.sleep(0)
        ours.append(problem)

    use = session(store=found, policy=Policy(deadline=0.2))
    assert use.on("error", ours.append).on("error", report) is use
    await update(use, Ctx(), count)
    assert not ours
    found.down = down
    with pytest.raises(error) as raised:
        await update(use, Ctx(), count)
    assert ours == [raised.value, raised.value]
    assert theirs[0] == "Connection Error"
    found.down = ""
    assert await update(use, Ctx(), count) == 2


async def test_a_place_that_cannot_be_reached_is_reported_and_tried_again() -> None:
    found: dict[str, Any] = {}
    ours: list[Exception] = []
    ready: list[bool] = []

    def init() -> None:
        if not ready:
            raise ConnectionRefusedError

    driver = MappingDriver(SimpleNamespace(init=init, read=found.get, write=found.__setitem__))
    use = session(store=driver).on("error", ours.append)
    for tries in (1, 2):
        with pytest.raises(Unavailable, match="init"):
            await update(use, Ctx(), lambda ctx: pytest.fail("the handler ran"))
        assert len(ours) == tries
    ready.append(True)
    assert await update(use, Ctx(), count) == 1


async def test_a_handlers_own_errors_are_not_reported() -> None:
    def fails(ctx: Any) -> None:
        raise Unavailable("the handler's own")

    ours: list[Exception] = []
    use = session(store="memory://").on("error", ours.append)
    with pytest.raises(Unavailable, match="own"):
        await update(use, Ctx(), fails)
    assert not ours
    with pytest.raises(InvalidOption, match="'error'"):
        use.on("close", ours.append)  # type: ignore[arg-type]


# --- ours ------------------------------------------------------------------------------------------------------------


async def test_a_store_or_driver_handed_in_stays_open(sessions: SessionStore) -> None:
    async with sessions:
        async with session(store=sessions) as use:
            assert use.store is use.sessions is sessions
            await update(use, Ctx(), count)
        assert await sessions.session("opengram:1:2").get("counter") == 1
    driver = MemoryDriver()
    async with session(store=driver) as use:
        assert use.store is driver
        await update(use, Ctx(), count)
    async with session(store=driver) as another:
        assert await update(another, Ctx(), count) == 2


async def test_a_url_is_opened_and_closed(tmp_path: Path) -> None:
    async with session(store=f"file://{tmp_path}") as use:
        assert isinstance(use.store, SessionStore)
        assert use.store is use.sessions
        await update(use, Ctx(), count)
    with pytest.raises(StoreClosed):
        await use.sessions.session("opengram:1:2").load()
    async with session(store=f"file://{tmp_path}") as use:
        assert await update(use, Ctx(), count) == 2


@pytest.mark.parametrize("store", ["memory://", {}])
async def test_after_its_end_a_middleware_is_not_opened_again(store: Any) -> None:
    async with session(store=store) as use:
        await update(use, Ctx(), count)
    for _ in range(2):
        with pytest.raises(StoreClosed):
            await update(use, Ctx(), count)


async def test_a_first_update_that_is_cancelled_while_connecting_spoils_nothing() -> None:
    began = asyncio.Event()
    found: dict[str, Any] = {}

    async def init() -> None:
        if not began.is_set():
            began.set()
            await asyncio.Event().wait()

    use = session(store=MappingDriver(SimpleNamespace(init=init, read=found.get, write=found.__setitem__)))
    first = asyncio.create_task(update(use, Ctx(), count))
    await began.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await update(use, Ctx(), count) == 1


async def test_many_first_updates_open_the_store_once(tmp_path: Path) -> None:
    async with session(store=f"file://{tmp_path}") as use:
        await asyncio.gather(*(update(use, Ctx(user), count) for user in range(1, 20)))


async def test_a_max_lifetime_and_the_rest_come_with_a_store_of_ones_own() -> None:
    clock = ManualClock()
    policy = Policy(max_lifetime=100, ttl=60)
    async with SessionStore.open(driver=MemoryDriver(clock=clock), policy=policy) as store:
        use = session(store=store)
        await update(use, Ctx(), count)
        clock.advance(59)
        await update(use, Ctx(), count)
        clock.advance(41)
        assert await update(use, Ctx(), count) == 1


@pytest.mark.parametrize("store", [object(), 5, [], b"redis://"])
def test_what_is_no_store_is_refused(store: object) -> None:
    with pytest.raises(InvalidOption, match="get and set"):
        session(store=store)


def test_a_store_has_a_policy_already() -> None:
    with pytest.raises(InvalidOption, match="policy"):
        session(store=SessionStore.open("memory://"), policy=Policy())


def test_the_signature_is_the_documents() -> None:
    assert list(inspect.signature(session).parameters)[:4] == ["get_session_key", "ttl", "property", "store"]
