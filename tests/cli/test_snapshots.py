"""`snapshot` and `restore`: all of it and nothing else, also after a kill, and never out of a damaged file."""

from __future__ import annotations

import asyncio
import json
import stat
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from gridsession import Policy, SessionStore
from gridsession.drivers.memory import MemoryDriver
from gridsession.errors import CodecError, GridSessionError, InvalidOption, Unavailable
from gridsession.moving import check_snapshot, restore, snapshot
from gridsession.testing.clock import ManualClock
from gridsession.testing.local_grid import LocalGrid
from tests.cli.conftest import Script
from tests.cli.running import Place, Terminal, killed_at_its_first_line

SESSIONS = 2_000
PAGES = 700
"""Sessions that take several pages, so that a kill can come between two of them."""


async def seed(url: str, namespace: str, numbers: Iterable[int]) -> None:
    """So many sessions, and a global."""
    gate = asyncio.Semaphore(64)
    async with SessionStore.open(url, namespace=namespace, policy=Policy(ttl=600)) as store:

        async def put(number: int) -> None:
            async with gate:
                await store.session(f"test:{number}").update(number=number, name="Ploy", cart=["tea", number])

        await asyncio.gather(*map(put, numbers))
        await store.globals.set("rate", 36.5)


def content(script: Script, file: Path, url: str, namespace: str) -> str:
    """The digest of all that is at a place."""
    taken = script("snapshot", str(file), "--url", url, "--namespace", namespace, "--yes")
    assert (taken.code, taken.errors) == (0, "")
    digest: str = taken.last["content"]
    return digest


def test_what_was_saved_is_put_back_elsewhere_and_is_the_same(
    place: Place, script: Script, terminal: Terminal, tmp_path: Path
) -> None:
    asyncio.run(seed(place.url, place.namespace, range(SESSIONS)))
    file, there = tmp_path / "sessions.gsr", f"lmdb://{tmp_path}/there"
    taken = script("snapshot", str(file), *place.options)
    assert (taken.code, taken.errors) == (0, "")
    assert taken.last["records"] == {f"{place.namespace}/sessions": SESSIONS, f"{place.namespace}/globals": 1}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.glob("sessions*")) == ["sessions.gsr"]
    code, text = terminal.run("restore", str(file), "--yes", "--url", there)
    assert code == 0
    assert "━" in text
    assert f"{SESSIONS:,} restored" in text
    assert f"verify sessions: {SESSIONS:,} same" in text
    assert content(script, tmp_path / "second", there, place.namespace) == taken.last["content"]
    again = script("restore", str(file), "--yes", "--url", there)
    assert again.last["counts"]["restore sessions"] == {"there": SESSIONS}


def test_questions_and_a_bar_on_a_terminal(place: Place, terminal: Terminal, tmp_path: Path) -> None:
    asyncio.run(seed(place.url, place.namespace, range(3)))
    file = str(tmp_path / "file")
    code, text = terminal.run("snapshot", file, *place.options)
    assert (code, "reading sessions" in text, "snapshot sessions: 3 saved" in text) == (0, True, True)
    terminal.type("snapshot", file, *place.options)
    terminal.wait_for(r"Replace .*\? \[y/N\]:")
    terminal.keys("n\n")
    assert terminal.ended()[0] == 1
    terminal.type("restore", file, "--url", place.url)
    terminal.wait_for(r"in place, over older ones\? \[y/N\]:")
    terminal.keys("y\n")
    code, text = terminal.ended()
    assert (code, "restore sessions: 3 there" in text) == (0, True)


def test_a_snapshot_that_is_killed_goes_on_where_it_was(place: Place, script: Script, tmp_path: Path) -> None:
    asyncio.run(seed(place.url, place.namespace, range(PAGES)))
    file = tmp_path / "file"
    told = killed_at_its_first_line("snapshot", str(file), *place.options)
    assert told["done"] < PAGES
    assert not file.exists()
    assert stat.S_IMODE((tmp_path / "file.part").stat().st_mode) == 0o600
    taken = script("snapshot", str(file), *place.options)
    assert (taken.code, taken.last["resumed"]) == (0, True)
    assert taken.last["records"][f"{place.namespace}/sessions"] == PAGES
    assert taken.last["counts"]["snapshot sessions"] == {"saved": PAGES}
    assert content(script, tmp_path / "whole", place.url, place.namespace) == taken.last["content"]
    assert check_snapshot(file).content == taken.last["content"]


def test_a_restore_that_is_killed_goes_on_where_it_was(place: Place, script: Script, tmp_path: Path) -> None:
    here, file, resume = f"lmdb://{tmp_path}/here", tmp_path / "file", tmp_path / "resume"
    asyncio.run(seed(here, "default", range(PAGES)))
    digest = content(script, file, here, "default")
    asked = ("restore", str(file), "--yes", "--url", place.url, "--to-namespace", place.namespace)
    told = killed_at_its_first_line(*asked, "--resume", str(resume))
    assert told["done"] < PAGES
    done = script(*asked, "--resume", str(resume))
    assert (done.code, done.errors) == (0, "")
    counts = done.last["counts"]
    assert sum(counts["restore sessions"].values()) in range(PAGES, PAGES + told["done"] + 1)
    assert counts["verify sessions"] == {"same": PAGES}
    assert not resume.exists()
    assert content(script, tmp_path / "second", place.url, place.namespace) == digest


def small(path: Path) -> bytes:
    """A snapshot with little in it."""

    async def make() -> None:
        async with SessionStore.open("memory://") as store:
            await store.session("test:1").update(secret="sesame", number=1)
            await store.globals.set("rate", 36.5)
            await snapshot(store, path)

    asyncio.run(make())
    return path.read_bytes()


def test_each_byte_that_differs_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    whole = small(path)
    assert check_snapshot(path).records == {"default/sessions": 1, "default/globals": 1}
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :])
        with pytest.raises(CodecError) as damaged:
            check_snapshot(path)
        assert "sesame" not in str(damaged.value)


def test_a_file_that_is_cut_off_or_goes_on_is_refused_and_it_is_said_where(tmp_path: Path) -> None:
    path = tmp_path / "file"
    whole = small(path)
    for length in range(0, len(whole), 3):
        path.write_bytes(whole[:length])
        with pytest.raises(CodecError, match=r"is incomplete: at byte [\d,]+ \(block \d+\)|is no snapshot"):
            check_snapshot(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(CodecError, match=rf"damaged: at byte {len(whole):,} .*more bytes follow"):
        check_snapshot(path)
    path.write_bytes(whole[:7] + b"\x02" + whole[8:])
    with pytest.raises(CodecError, match="format 2 and this version reads format 1"):
        check_snapshot(path)


def test_nothing_is_written_out_of_a_damaged_file(place: Place, script: Script, tmp_path: Path) -> None:
    here, file = f"lmdb://{tmp_path}/here", tmp_path / "file"
    asyncio.run(seed(here, "default", range(600)))
    content(script, file, here, "default")
    whole = bytearray(file.read_bytes())
    whole[-300] ^= 1
    file.write_bytes(whole)
    done = script("restore", str(file), "--yes", "--url", place.url, "--to-namespace", place.namespace)
    assert (done.code, done.out) == (1, "")
    assert f"{file} is damaged: at byte " in done.errors
    assert len(done.errors.splitlines()) == 1
    assert script("ls", *place.options).out == ""
    assert script("restore", str(file), "--dry-run").code == 1
    assert script("restore", str(tmp_path / "nothing"), "--yes", "--url", place.url).code == 1


async def test_newer_and_deleted_sessions_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "file"
    async with SessionStore.open("memory://") as store:
        for name in ("same", "changed", "deleted", "again"):
            await store.session(f"test:{name}").update(a=1)
        await snapshot(store, path)
        await store.session("test:changed").update(a=2)
        await store.session("test:deleted").delete()
        await store.session("test:again").delete()
        await store.session("test:again").update(a=3)
        report = await restore(store, path)
        assert report.ok
        assert report.counts()["restore sessions"] == {"newer": 3, "there": 1}
        assert report.counts()["verify sessions"] == {"newer": 3, "same": 1}
        assert await store.session("test:changed").get("a") == 2
        assert not await store.session("test:deleted").exists()
        assert await store.session("test:again").get("a") == 3


async def test_time_left_revisions_and_what_is_remembered_are_kept_and_leases_are_not(tmp_path: Path) -> None:
    path, clock = tmp_path / "file", ManualClock()
    async with SessionStore.open(driver=MemoryDriver(clock=clock), policy=Policy(ttl=600)) as store:
        await store.session("test:1").update(a=1)
        before = await store.session("test:1").commit(ttl=900)
        await store.session("test:1").remember("m1")
        await store.session("test:for-ever").commit(ttl=None)
        async with store.turn("test:held", lease=600) as turn:
            turn.state["a"] = 1
            await turn.commit()
            clock.advance(300)
            await snapshot(store, path)
        assert await store.session("test:1").ttl() == 600
    for later, elapsed, left in ((5_000, False, 600), (500, True, 100)):
        there = ManualClock(clock() + later * 1_000)
        async with SessionStore.open(driver=MemoryDriver(clock=there)) as store:
            report = await restore(store, path, elapsed=elapsed)
            assert report.ok
            session = store.session("test:1")
            assert await session.ttl() == left
            assert (await session.load()).revision.epoch == before.revision.epoch
            assert (await session.load()).revision.number == before.revision.number + 1
            assert not await session.remember("m1")
            assert await store.session("test:for-ever").ttl() is None
            if not elapsed:
                async with store.turn("test:held", wait=0) as turn:
                    assert turn.state == {"a": 1}
    late = ManualClock(clock() + 700_000)
    async with SessionStore.open(driver=MemoryDriver(clock=late)) as store:
        report = await restore(store, path, elapsed=True)
        assert report.ok
        assert report.counts()["restore sessions"] == {"ended": 2, "restored": 1}


def test_several_namespaces_in_one_file(place: Place, script: Script, tmp_path: Path) -> None:
    file, one, other = tmp_path / "file", place.namespace, f"{place.namespace}-2"
    asyncio.run(seed(place.url, one, range(3)))
    asyncio.run(seed(place.url, other, range(4)))
    taken = script("snapshot", str(file), "--url", place.url, "--namespace", one, "--namespace", other)
    assert taken.code == 0
    there = f"file://{tmp_path}/there"
    assert script("restore", str(file), "--yes", "--url", there, "--namespace", other).code == 0
    assert script("ls", "--url", there, "--namespace", one).out == ""
    assert len(script("ls", "--url", there, "--namespace", other).lines) == 4
    asked = ("restore", str(file), "--yes", "--url", there)
    assert script(*asked, "--namespace", one, "--to-namespace", "blue").code == 0
    assert len(script("ls", "--url", there, "--namespace", "blue").lines) == 3
    assert script(*asked, "--namespace", "red").code == 2
    assert "cannot become one" in script(*asked, "--to-namespace", "blue").said
    asyncio.run(seed(there, "gridsession-nodes", range(2)))  # where nodes agree on things is nobody's to take along
    every = script("snapshot", str(tmp_path / "all"), "--url", there, "--all-namespaces")
    assert {name for name, count in every.last["records"].items() if count} == {
        f"{kind}/{what}" for kind in (other, "blue") for what in ("sessions", "globals")
    }


async def test_a_file_under_way_belongs_to_one_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "file"
    async with SessionStore.open("memory://") as store:
        for number in range(600):
            await store.session(f"test:{number}").set("a", number)

        def stop(_: object) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await snapshot(store, path, names=("here",), on_progress=stop)
        left = (tmp_path / "file.part").read_bytes()
        with pytest.raises(InvalidOption, match="another place or of other namespaces"):
            await snapshot(store, path, names=("there",))
        with pytest.raises(InvalidOption, match="another place or of other namespaces"):
            await snapshot(store, path, names=("here",), namespaces=("default", "other"))
        assert (tmp_path / "file.part").read_bytes() == left
        # As a kill in the middle of a block leaves it.
        (tmp_path / "file.part").write_bytes(left + left[-500:])
        faults: list[GridSessionError] = []

        async def second() -> None:
            try:
                await snapshot(store, path, names=("here",))
            except GridSessionError as error:
                faults.append(error)

        met: list[asyncio.Task[None]] = []
        report, contents = await snapshot(
            store, path, names=("here",), on_progress=lambda _: met.append(asyncio.create_task(second()))
        )
        await asyncio.gather(*met)
        assert report.counts()["snapshot sessions"] == {"saved": 600}
        assert contents.resumed
        assert all(isinstance(fault, Unavailable) for fault in faults)
        assert faults
        assert check_snapshot(path).records == {"default/sessions": 600, "default/globals": 0}


async def test_what_is_in_the_way_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file.part").write_text("something else of theirs")
    async with SessionStore.open("memory://") as store:
        with pytest.raises(InvalidOption, match="in the way"):
            await snapshot(store, tmp_path / "file")
        with pytest.raises(Unavailable, match="nowhere"):
            await snapshot(store, tmp_path / "nowhere" / "file")
    assert (tmp_path / "file.part").read_text() == "something else of theirs"


def test_only_some_places_tell_their_namespaces(script: Script, tmp_path: Path) -> None:
    (tmp_path / "lmdb").mkdir()
    done = script("snapshot", str(tmp_path / "file"), "--url", f"lmdb://{tmp_path}/lmdb", "--all-namespaces")
    assert (done.code, "name them with --namespace" in done.said) == (2, True)


@pytest.mark.bench
@pytest.mark.timeout(600)
def test_a_hundred_thousand_sessions_timed(script: Script, tmp_path: Path) -> None:
    """From one grid through a file to another; prints what each step took."""
    file, taken = tmp_path / "file", {}
    with LocalGrid(3, memory="512m", jvm_options=()) as grid:
        asyncio.run(seed(grid.url, "default", range(100_000)))
        started = time.monotonic()
        done = script("snapshot", str(file), "--url", grid.url)
        taken["snapshot"] = time.monotonic() - started
        assert done.last["records"]["default/sessions"] == 100_000
    started = time.monotonic()
    check_snapshot(file)
    taken["check"] = time.monotonic() - started
    with LocalGrid(3, memory="512m", jvm_options=()) as grid:
        started = time.monotonic()
        restored = script("restore", str(file), "--yes", "--url", grid.url)
        taken["restore and compare"] = time.monotonic() - started
        assert restored.last["counts"]["verify sessions"] == {"same": 100_000}
        assert content(script, tmp_path / "second", grid.url, "default") == done.last["content"]
    figures = {name: round(seconds, 1) for name, seconds in taken.items()} | {"bytes": file.stat().st_size}
    print(json.dumps(figures))  # noqa: T201  # shown by -rP: what this run is for
