"""What the drivers of one host do when things go wrong: full and read-only disks, killed writers, broken files."""

from __future__ import annotations

import asyncio
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gridsession import SessionStore
from gridsession.drivers import Space
from gridsession.drivers._clock import host_clock
from gridsession.drivers._lock import try_lock
from gridsession.drivers._swap import Held
from gridsession.drivers.file import FileDriver
from gridsession.drivers.lmdb import LmdbDriver
from gridsession.errors import CorruptRecord, DeadlineExceeded, InvalidOption, StoreClosed, Unavailable
from gridsession.policy import Policy
from gridsession.testing.clock import ManualClock
from tests.contract.servers import missing

pytestmark = pytest.mark.servers

ID = "line:U1"
SCHEMES = ("file", "lmdb")

# Counts up in one session and says each number once it is acknowledged, until it is killed.
_WRITER = """
import asyncio, sys
from gridsession import SessionStore

async def main():
    async with SessionStore.open(sys.argv[1]) as store:
        while True:
            number = await store.session("line:U1").increment("n")
            await store.session("line:U1").set("text", "x" * 20_000)
            print(number, flush=True)

asyncio.run(main())
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        missing("a small tmpfs can be mounted by root only")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True).returncode:
        missing("a tmpfs cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("fsync", [False, True])
@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_full_disk_loses_nothing_and_is_said(scheme: str, fsync: bool, small_disk: Path) -> None:
    async with SessionStore.open(f"{scheme}://{small_disk}/sessions?fsync={fsync}") as store:
        filler = small_disk / "filler"
        filler.write_bytes(bytes(500_000))
        await store.session(ID).set("a", 1)
        stored: list[int] = []
        with pytest.raises(Unavailable, match=str(small_disk)):
            for number in range(200):
                await store.session(f"line:{number}").set("text", "x" * 20_000)
                stored.append(number)
        assert stored
        assert await store.session(ID).get("a") == 1
        assert {session_id async for session_id in store.ids()} == {ID, *(f"line:{number}" for number in stored)}
        filler.unlink()
        await store.session(ID).set("a", 2)
        assert await store.session(ID).get("a") == 2


def _remounted(folder: Path, mode: str) -> bool:
    return not subprocess.run(["mount", "-o", f"remount,{mode}", str(folder)], capture_output=True).returncode


def _below(folder: Path, pattern: str) -> list[Path]:
    return list(folder.rglob(pattern))


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_disk_gone_read_only_still_reads(scheme: str, small_disk: Path) -> None:
    async with SessionStore.open(f"{scheme}://{small_disk}/sessions") as store:
        session = store.session(ID)
        await session.set("a", 1)
        if not await asyncio.to_thread(_remounted, small_disk, "ro"):
            # LMDB keeps its file open for writing, which forbids the remount: then there is nothing to see here.
            assert scheme == "lmdb"
            return
        with pytest.raises(Unavailable, match=str(small_disk)):
            await session.set("a", 2)
        assert await session.get("a") == 1
        assert await asyncio.to_thread(_remounted, small_disk, "rw")
        await session.set("a", 3)
        assert await session.get("a") == 3


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_directory_that_cannot_be_made_is_said(scheme: str, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(Unavailable, match="taken"):
        await SessionStore.open(f"{scheme}://{tmp_path}/taken/sessions")


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_killed_writer_leaves_a_whole_session(scheme: str, tmp_path: Path) -> None:
    url = f"{scheme}://{tmp_path}"
    chance = random.Random(7)
    for _ in range(4):
        writer = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _WRITER, url, stdout=asyncio.subprocess.PIPE
        )
        assert writer.stdout is not None
        said = 0
        for _ in range(chance.randint(1, 30)):
            said = int(await writer.stdout.readline())
        writer.kill()
        said = max([said, *map(int, (await writer.stdout.read()).split(b"\n")[:-1])])
        await writer.wait()
        async with SessionStore.open(url) as store:
            assert said <= await store.session(ID).get("n") <= said + 1
            assert await store.session(ID).get("text") == "x" * 20_000


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_who_holds_the_lock_for_ever_costs_others_their_deadline_and_nothing_else(
    scheme: str, tmp_path: Path
) -> None:
    async with SessionStore.open(f"{scheme}://{tmp_path}", policy=Policy(deadline=1)) as store:
        session = store.session(ID)
        await session.set("a", 1)
        (lock,) = _below(tmp_path, "gridsession.lock") if scheme == "lmdb" else _below(tmp_path, ".lock")
        with try_lock(lock) as locked:
            assert locked
            with pytest.raises(DeadlineExceeded):
                await session.set("a", 2)
            assert await session.get("a") == 1
        await session.set("a", 3)


async def test_a_corrupt_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    async with SessionStore.open(f"file://{tmp_path}") as store:
        session = store.session(ID)
        await session.set("a", 1)
        (file,) = _below(tmp_path, "*.gsr")
        whole = file.read_bytes()
        for broken in (b"", whole[:-1], b"{}", whole.replace(b"line:U1", b"line:U2")):
            file.write_bytes(broken)
            for call in (session.load(), session.set("a", 2), session.delete()):
                with pytest.raises(CorruptRecord, match=re.escape(file.name)):
                    await call
            assert file.read_bytes() == broken
        file.write_bytes(whole)
        assert await session.get("a") == 1


def test_file_names_are_apart_also_where_case_is_folded(tmp_path: Path) -> None:
    driver = FileDriver(tmp_path)
    long = "x" * 2000
    ids = ["a:b", "a:B", "a:é", "a:e\u0301", "a:b/c", "a:..", "con", "CON", "nul", ".", "..", f"a:{long}", f"a:{long}y"]
    names = [Path(driver.where(Space("s"), session_id)).name.lower() for session_id in ids]
    assert len(set(names)) == len(ids)
    assert all(len(name) <= 255 and name.isascii() and name.endswith(".gsr") for name in names)
    assert not {"con.gsr", "nul.gsr"} & set(names)


@pytest.mark.parametrize("make", [FileDriver, LmdbDriver])
async def test_what_has_ended_is_swept(make: Callable[..., FileDriver | LmdbDriver], tmp_path: Path) -> None:
    clock = ManualClock()
    driver = make(tmp_path, clock=clock)
    driver.sweep_every = 0.02
    async with SessionStore.open(driver=driver) as store:
        await store.session("line:stays").set("a", 1)
        await store.session("line:ends").commit(ttl=5)
        space = store._links[0].space
        left = tmp_path / "sessions" / "default" / "0" / ".0123.tmp"
        left.parent.mkdir(parents=True, exist_ok=True)
        left.write_bytes(b"half")
        os.utime(left, (0, 0))
        clock.advance(5)
        assert not await store.session("line:ends").exists()
        clock.advance(60)
        async with asyncio.timeout(10):
            while len((await driver.page(space, "", None, 100)).records) > 1 or (make is FileDriver and left.exists()):
                await asyncio.sleep(0.01)
        assert await store.session("line:stays").exists()
    await driver.aclose()


async def test_an_lmdb_map_grows_in_every_process(tmp_path: Path) -> None:
    fill = (
        "import asyncio, sys\nfrom gridsession import SessionStore\n"
        "async def main():\n"
        "    async with SessionStore.open(sys.argv[1]) as store:\n"
        "        for number in range(int(sys.argv[2]), int(sys.argv[3])):\n"
        "            await store.session(f'line:{number}').set('text', 'x' * 200_000)\n"
        "asyncio.run(main())\n"
    )
    url = f"lmdb://{tmp_path}"
    async with SessionStore.open(url) as store:
        await store.session("line:mine").set("a", 1)
        run = await asyncio.create_subprocess_exec(sys.executable, "-c", fill, url, "0", "100")
        assert await run.wait() == 0
        # The other process let the map grow: reading and writing here take that over.
        assert len(await store.session("line:99").get("text")) == 200_000
        for number in range(100, 250):
            await store.session(f"line:{number}").set("text", "x" * 200_000)
        assert len([session_id async for session_id in store.ids()]) == 251
    assert (tmp_path / "data.mdb").stat().st_size > 32 * 1024 * 1024


async def test_a_full_lmdb_map_is_said_and_nothing_is_lost(tmp_path: Path) -> None:
    stored = []
    async with SessionStore.open(f"lmdb://{tmp_path}?max_bytes=2000000") as store:
        with pytest.raises(Unavailable, match="max_bytes"):
            for number in range(100):
                await store.session(f"line:{number}").set("text", "x" * 100_000)
                stored.append(f"line:{number}")
        assert {session_id async for session_id in store.ids()} == set(stored)
        assert len(stored) > 5
    async with SessionStore.open(f"lmdb://{tmp_path}?max_bytes=9000000") as store:
        await store.session("line:more").set("text", "x" * 100_000)
        assert {session_id async for session_id in store.ids()} == {*stored, "line:more"}


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_what_is_being_synced_when_the_store_is_closed_is_told_as_it_is(scheme: str, tmp_path: Path) -> None:
    url, names = f"{scheme}://{tmp_path}?fsync=true", range(8)
    for turn in range(10):
        store = await SessionStore.open(url)
        calls = [asyncio.create_task(store.session(f"line:{name}").set("turn", turn)) for name in names]
        while not store._driver._writes:  # type: ignore[attr-defined]
            await asyncio.sleep(0)
        await store.aclose()
        told = await asyncio.gather(*calls, return_exceptions=True)
        async with SessionStore.open(url) as again:
            stands = [await again.session(f"line:{name}").get("turn") == turn for name in names]
        assert all(error is None or isinstance(error, StoreClosed) for error in told)
        assert [error is None for error in told] == stands


async def test_two_drivers_of_a_process_share_one_lmdb_file(tmp_path: Path) -> None:
    one, two = LmdbDriver(tmp_path), LmdbDriver(tmp_path, clock=host_clock)
    async with SessionStore.open(driver=one) as first, SessionStore.open(driver=two) as second:
        await first.session(ID).set("a", 1)
        assert await second.session(ID).get("a") == 1
        await one.aclose()
        assert await second.session(ID).get("a") == 1
    await two.aclose()


async def test_who_shares_an_lmdb_file_in_one_process_agrees_on_fsync(tmp_path: Path) -> None:
    one = LmdbDriver(tmp_path)
    async with SessionStore.open(driver=one):
        with pytest.raises(InvalidOption, match="fsync=false"):
            await LmdbDriver(tmp_path, fsync=True).open()
    await one.aclose()
    other = LmdbDriver(tmp_path, fsync=True)
    await other.open()
    await other.aclose()


async def test_what_was_renamed_but_not_synced_is_not_acknowledged_until_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def fails_twice(folder: str) -> None:
        asked.append(len(asked))
        if len(asked) <= 2:
            raise OSError(5, "Input/output error")

    async with SessionStore.open(f"file://{tmp_path}?fsync=true") as store:
        await store.session(ID).increment("n")
        monkeypatch.setattr("gridsession.drivers.file.sync_folder", fails_twice)
        assert await store.session(ID).increment("n") == 2
        assert len(asked) == 3


@pytest.mark.parametrize("make", [FileDriver, LmdbDriver])
async def test_what_comes_too_late_to_the_disk_is_not_stored(
    make: Callable[..., FileDriver | LmdbDriver], tmp_path: Path
) -> None:
    clock = ManualClock()
    driver = make(tmp_path, clock=clock)
    await driver.open()
    space, held = Space("a"), Held(None, None, clock())
    due = clock() + 10
    clock.advance(0.01)
    assert not await driver.swap(space, ID, held, b"late", keep_until=None, before=due)
    assert (await driver.read(space, ID)).data is None
    assert await driver.swap(space, ID, held, b"in time", keep_until=None, before=due + 1)
    await driver.aclose()


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_others_run_between_the_pages_of_a_scan(scheme: str, tmp_path: Path) -> None:
    async with SessionStore.open(f"{scheme}://{tmp_path}") as store:
        for number in range(5):
            await store.session(f"line:{number}").set("a", 1)
        done: list[str] = []

        async def scan() -> None:
            cursor, more = None, True
            while more:
                page = await store._driver.scan(Space(store.namespace), cursor=cursor, limit=1)
                cursor, more = page.cursor, page.cursor is not None
            done.append("scan")

        async def other() -> None:
            for _ in range(3):
                await asyncio.sleep(0)
            done.append("other")

        await asyncio.gather(scan(), other())
        assert done == ["other", "scan"]
