"""Copying a namespace: nothing is lost on the way, what the target knows better stays, and what differs is said."""

from __future__ import annotations

import itertools
import stat
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gridsession import Policy, SessionStore
from gridsession._commands import Command, Load, Want
from gridsession._limits import Limits
from gridsession._record import Record, encode_field
from gridsession._reply import Reply
from gridsession.drivers import Page, Space
from gridsession.drivers.memory import MemoryDriver
from gridsession.errors import CorruptRecord, InvalidOption, Unavailable
from gridsession.moving import Progress, copy
from gridsession.testing.clock import ManualClock
from gridsession.testing.local_grid import LocalGrid
from tests.contract.servers import redis_server, running

NEAR = 5.0
"""Seconds that two readings of what is left may be apart."""


def memory(clock: ManualClock | None = None, **policy: float) -> SessionStore:
    """A store with a driver of its own; not open."""
    driver = MemoryDriver() if clock is None else MemoryDriver(clock=clock)
    return SessionStore.open(driver=driver, policy=Policy(**policy))  # type: ignore[arg-type]  # by name


def contents(folder: Path) -> dict[Path, bytes]:
    """Every file below a folder, and what it holds."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def seed(store: SessionStore) -> None:
    """Sessions and globals of every sort."""
    many = store.session("telegram:1")
    await many.set("count", 1, ttl=600)
    await many.update(name="Ploy", tags={"a", "b"}, cart=["tea", 2.5])
    await many.props.set("locale", "th-TH")
    await many.remember("message-1")
    assert await many.allow("sms", every=300)
    await store.session("line:Ü/1 \\").set("never", True, ttl=None)
    async with store.turn("slack:T1:C1", ttl=900) as turn:
        turn.state["step"] = "pay"
    await store.session("viber:gone").set("a", 1)
    await store.session("viber:gone").delete()
    await store.globals.set("rate", 36.5, ttl=1_000)
    await store.globals.increment("visitors", 3)


async def assert_alike(source: SessionStore, target: SessionStore) -> None:
    """Everything that can be asked has the same answer at both, ttl within what asking takes."""
    ids = {session_id async for session_id in source.ids()}
    assert ids == {session_id async for session_id in target.ids()}
    for session_id in ids:
        ours, theirs = source.session(session_id), target.session(session_id)
        here, there = await ours.load(), await theirs.load()
        assert (dict(there), dict(there.props), there.revision) == (dict(here), dict(here.props), here.revision)
        assert await theirs.ttl() == pytest.approx(await ours.ttl(), abs=NEAR)
    names = {name async for name in source.globals.names()}
    assert names == {name async for name in target.globals.names()}
    for name in names:
        assert await target.globals.get(name, fresh=True) == await source.globals.get(name, fresh=True)
        assert await target.globals.ttl(name) == pytest.approx(await source.globals.ttl(name), abs=NEAR)


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of our own."""
    server = redis_server(tmp_path_factory.mktemp("redis"))
    with running(server):
        yield f"redis://127.0.0.1:{server.port}/0"


@pytest.mark.grid
async def test_from_file_to_the_grid_to_lmdb_to_redis_nothing_is_lost(
    tmp_path: Path, grid: LocalGrid, redis_url: str, namespace: str
) -> None:
    urls = (f"file://{tmp_path}/file", grid.url, f"lmdb://{tmp_path}/lmdb", redis_url)
    first, last = SessionStore.open(urls[0], namespace=namespace), SessionStore.open(urls[-1], namespace=namespace)
    async with first:
        await seed(first)
    for here, there in itertools.pairwise(urls):
        async with (
            SessionStore.open(here, namespace=namespace) as source,
            SessionStore.open(there, namespace=namespace) as target,
        ):
            report = await copy(source, target)
            assert report.ok, report
            assert report.counts() == {
                "copy sessions": {"copied": 3},
                "copy globals": {"copied": 2},
                "verify sessions": {"same": 3},
                "verify globals": {"same": 2},
            }
            await assert_alike(source, target)
    async with SessionStore.open(urls[0], namespace=namespace) as first, last:
        await assert_alike(first, last)
        # What is ours alone came along: a message that was seen, a gate that was used.
        assert not await last.session("telegram:1").remember("message-1")
        assert not await last.session("telegram:1").allow("sms", every=300)
        async with last.turn("slack:T1:C1") as turn:
            turn.state["step"] = "paid"
        assert await last.globals.increment("visitors") == 4


async def test_the_source_is_left_as_it_is_to_the_byte(tmp_path: Path) -> None:
    async with SessionStore.open(f"file://{tmp_path}/file") as source, memory() as target:
        await seed(source)
        before = contents(tmp_path)
        assert (await copy(source, target)).ok
        assert contents(tmp_path) == before


async def test_a_held_session_is_copied_free_and_its_holder_can_still_commit() -> None:
    async with memory() as source, memory() as target:
        async with source.turn("test:1") as turn:
            turn.state["a"] = 1
            await turn.commit()
            assert (await copy(source, target)).ok
            async with target.turn("test:1", wait=0) as other:
                assert other.state == {"a": 1}
            turn.state["a"] = 2
        assert await source.session("test:1").get("a") == 2


async def test_a_second_copy_takes_over_what_is_newer_and_leaves_the_rest() -> None:
    async with memory() as source, memory() as target:
        for name in ("same", "ahead", "behind", "deleted there", "deleted and made again"):
            await source.session(f"test:{name}").set("a", 1)
        assert (await copy(source, target)).ok
        await source.session("test:ahead").set("a", 2)
        await target.session("test:behind").set("a", 3)
        await target.session("test:deleted there").delete()
        await source.session("test:deleted and made again").delete()
        await source.session("test:deleted and made again").set("b", 1)
        await source.session("test:new").set("a", 1)
        report = await copy(source, target)
        assert report.ok
        assert report.counts()["copy sessions"] == {"copied": 3, "newer": 2, "there": 1}
        assert report.counts()["verify sessions"] == {"newer": 2, "same": 4}
        assert await target.session("test:ahead").get("a") == 2
        assert await target.session("test:behind").get("a") == 3
        assert not await target.session("test:deleted there").exists()
        assert dict(await target.session("test:deleted and made again").load()) == {"b": 1}


async def test_a_second_copy_brings_a_life_that_was_extended() -> None:
    clock = ManualClock()
    async with memory(clock, ttl=60) as source, memory(clock, ttl=60) as target:
        for name in "abc":
            await source.session(f"test:{name}").set("a", 1)
        await copy(source, target)
        clock.advance(50)
        await source.session("test:a").touch()
        await source.session("test:b").touch(300)
        assert (await copy(source, target)).ok
        assert await target.session("test:a").ttl() == 60
        assert await target.session("test:b").ttl() == 300
        assert await target.session("test:c").ttl() == 10
        assert await target.session("test:a").load() == await source.session("test:a").load()


async def test_where_clocks_differ_what_is_left_counts() -> None:
    here, there = ManualClock(1_700_000_000_000), ManualClock(1_700_000_090_000)
    async with memory(here, ttl=60) as source, memory(there) as target:
        await source.session("test:1").set("a", 1)
        here.advance(20)
        there.advance(20)
        report = await copy(source, target)
        assert report.ok
        assert report.shift == 90_000
        assert await target.session("test:1").ttl() == 40
        assert (await copy(source, target)).counts()["copy sessions"] == {"there": 1}


async def test_what_ends_on_the_way_is_no_error() -> None:
    clock = ManualClock()
    async with memory(clock, ttl=60) as source, memory(clock) as target:
        for number in range(600):
            await source.session(f"test:{number}").set("a", 1)

        def pass_time(progress: Progress) -> None:
            if progress == Progress("copy", "sessions", 500):
                clock.advance(60)

        report = await copy(source, target, on_progress=pass_time)
        assert report.ok
        assert report.counts()["copy sessions"] == {"copied": 500}
        assert report.counts().get("verify sessions", {}) == {}


class Meddled(MemoryDriver):
    """Does something when it is scanned for the n-th time: 1 to copy sessions, 2 globals, 3 to compare sessions."""

    def __init__(self, at: int, meddle: Callable[[], Awaitable[None]]) -> None:
        super().__init__()
        self.scans = 0
        self.loads: list[str] = []
        self._at = at
        self._meddle = meddle

    async def scan(self, space: Space, prefix: str = "", *, cursor: str | None = None, limit: int = 500) -> Page:
        """As the memory driver's."""
        self.scans += 1
        if self.scans == self._at:
            await self._meddle()
        return await super().scan(space, prefix, cursor=cursor, limit=limit)

    async def execute(self, space: Space, session_id: str, command: Command, *, deadline: float | None = None) -> Reply:
        """As the memory driver's."""
        if isinstance(command, Load):
            self.loads.append(session_id)
        return await super().execute(space, session_id, command, deadline=deadline)


async def test_what_changes_on_the_way_is_said() -> None:
    async def meddle() -> None:
        await source.session("test:changed").set("a", 2)
        await source.session("test:touched").touch(500)
        await source.session("test:new").set("a", 1)
        await source.session("test:deleted").delete()
        await target.session("test:deleted there").delete()
        await target.session("test:in use there").set("a", 2)

    names = ("changed", "touched", "deleted", "deleted there", "in use there", "quiet")
    async with SessionStore.open(driver=Meddled(3, meddle), policy=Policy(ttl=60)) as source, memory() as target:
        for name in names:
            await source.session(f"test:{name}").set("a", 1)
        report = await copy(source, target)
        assert not report.ok
        assert report.counts()["verify sessions"] == {"behind": 2, "missing": 1, "newer": 2, "same": 1}
        told = dict(report.tally("verify", "sessions").problems)
        assert told.keys() == {"test:changed", "test:touched", "test:new"}
        assert all("copy again" in reason for reason in told.values())
        assert (await copy(source, target)).ok


@pytest.mark.parametrize("change", ["set", "touch", "new"])
async def test_one_change_on_the_way_is_enough_to_fail(change: str) -> None:
    async def meddle() -> None:
        session = source.session("test:2" if change == "new" else "test:1")
        await (session.touch(500) if change == "touch" else session.set("a", 2))

    async with SessionStore.open(driver=Meddled(3, meddle), policy=Policy(ttl=60)) as source, memory() as target:
        await source.session("test:1").set("a", 1)
        assert not (await copy(source, target)).ok
        assert (await copy(source, target)).ok


async def test_what_has_ended_by_the_clock_of_the_target_is_gone() -> None:
    here, there = ManualClock(1_700_000_000_000), ManualClock(1_700_000_000_900)
    async with memory(here, ttl=0.5) as source, memory(there) as target:
        await source.session("test:1").set("a", 1)
        report = await copy(source, target)
        assert report.ok
        assert report.counts()["copy sessions"] == report.counts()["verify sessions"] == {"gone": 1}


async def test_a_target_that_holds_something_else_at_the_same_revision_is_found_out() -> None:
    async def meddle() -> None:
        (whole,) = (await source._driver.execute(Space("default"), "test:1", Load(Want.WHOLE))).results
        assert isinstance(whole, bytes)
        forged = replace(Record.decode(whole), bags=({"a": encode_field(2)}, {}, {}))
        target._driver._spaces[Space("default")]["test:1"] = forged  # type: ignore[attr-defined]  # by force

    async with SessionStore.open(driver=Meddled(3, meddle)) as source, memory() as target:
        await source.session("test:1").set("a", 1)
        report = await copy(source, target)
        assert report.counts()["verify sessions"] == {"different": 1}
        assert not report.ok


async def test_what_the_target_refuses_is_named_and_the_rest_copied() -> None:
    target = SessionStore.open(driver=MemoryDriver(limits=Limits(record_bytes=300)))
    async with memory() as source, target:
        await source.session("test:large").set("secret", "x" * 500)
        await source.session("test:small").set("a", 1)
        report = await copy(source, target)
        assert not report.ok
        assert report.counts()["copy sessions"] == {"copied": 1, "failed": 1}
        ((key, reason),) = report.tally("copy", "sessions").problems
        assert (key, "xxx" in reason, "would pass a limit" in reason) == ("test:large", False, True)


@pytest.mark.parametrize(
    ("scan", "left"),
    [
        (1, 1_100 + 1_100),
        (3, 100 + 1_100),  # the last page, and all of them compared
        (6, 600),  # two pages compared
    ],
)
async def test_a_copy_that_was_ended_goes_on_where_it_was(tmp_path: Path, scan: int, left: int) -> None:
    async def fail() -> None:
        raise Unavailable("gone")

    driver, file = Meddled(scan, fail), tmp_path / "resume.json"
    async with SessionStore.open(driver=driver) as source, memory() as target:
        for number in range(1_100):
            await source.session(f"test:{number:04}").set("a", number)
        await source.globals.set("rate", 36.5)
        with pytest.raises(Unavailable):
            await copy(source, target, resume=file, names=("one", "two"))
        if scan > 1:
            assert "one" not in file.read_text()  # URLs hold passwords
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            with pytest.raises(InvalidOption, match="belongs to a move between other places"):
                await copy(source, target, resume=file, names=("one", "three"))
        driver.loads.clear()
        report = await copy(source, target, resume=file, names=("one", "two"))
        assert report.ok
        assert report.counts()["copy sessions"] == {"copied": 1_100}
        assert report.counts()["verify sessions"] == {"same": 1_100}
        assert sum(name.startswith("test:") for name in driver.loads) == left
        assert not file.exists()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": 2}', '{"format": 1, "step": "x"}'])
async def test_a_file_that_is_none_of_ours_is_left(tmp_path: Path, text: str) -> None:
    file = tmp_path / "notes.txt"
    file.write_text(text)
    async with memory() as source, memory() as target:
        with pytest.raises(InvalidOption, match=r"notes\.txt is no file to resume from"):
            await copy(source, target, resume=file)
    assert file.read_text() == text


async def test_a_file_that_cannot_be_kept_is_refused_before_anything_is_copied(tmp_path: Path) -> None:
    async with memory() as source, memory() as target:
        await seed(source)
        with pytest.raises(InvalidOption, match="there is no directory"):
            await copy(source, target, resume=tmp_path / "not_there" / "resume")
        assert [session_id async for session_id in target.ids()] == []
        (tmp_path / "resume.new").mkdir()
        with pytest.raises(Unavailable, match="resume cannot be written"):
            await copy(source, target, resume=tmp_path / "resume")


async def test_a_dry_run_counts_and_asks_the_target_nothing() -> None:
    target = memory()
    async with memory() as source:
        await seed(source)
        report = await copy(source, target, dry_run=True)
        assert report.counts() == {"copy sessions": {"found": 3}, "copy globals": {"found": 2}}


async def test_a_corrupt_file_ends_the_copy_by_its_name(tmp_path: Path) -> None:
    async with SessionStore.open(f"file://{tmp_path}/file") as source, memory() as target:
        await source.session("test:1").set("a", 1)
        (path,) = (path for path, data in contents(tmp_path).items() if data)
        path.write_bytes(b"broken")
        with pytest.raises(CorruptRecord, match=path.name):
            await copy(source, target)
        assert path.read_bytes() == b"broken"
