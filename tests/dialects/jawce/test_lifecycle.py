"""Where a manager keeps sessions, for how long, when it connects, and what it says when it cannot."""

from __future__ import annotations

import contextlib
import datetime as dt
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import gridsession
from gridsession import Policy, errors, sync
from gridsession.dialects.jawce import (
    DEFAULT_PROP_KEY,
    AsyncSessionManager,
    CaffeineSessionManager,
    FileBasedSessionManager,
    HazelcastSessionManager,
    LMDBSessionManager,
    SessionManager,
)
from gridsession.drivers.memory import MemoryDriver
from gridsession.testing.clock import ManualClock
from tests.dialects.jawce.conftest import Place

ROOT = Path(__file__).parents[3]


# --- how long ---------------------------------------------------------------------------------------------------------


def test_sessions_and_globals_live_apart() -> None:
    """Counted from the last change; reading prolongs nothing."""
    clock = ManualClock()
    with sync.SessionStore.open(driver=MemoryDriver(clock=clock), policy=Policy(ttl=600)) as store:
        manager = SessionManager(store, global_ttl=900)
        user = manager.session("1")
        user.save("a", 1)
        user.save_global("g", 1)
        clock.advance(500)
        user.save_prop("b", 2)
        clock.advance(599)
        assert user.fetch_all() == {"a": 1, DEFAULT_PROP_KEY: {"b": 2}}
        assert user.get_global("g") is None
        clock.advance(1)
        assert user.fetch_all() == user.get_user_props() == {}
        assert user.get("a") is None


def test_without_a_ttl_globals_live_for_ever_whatever_sessions_do() -> None:
    clock = ManualClock()
    with sync.SessionStore.open(driver=MemoryDriver(clock=clock), policy=Policy(ttl=1)) as store:
        manager = SessionManager(store)
        manager.save_global("g", 1)
        clock.advance(dt.timedelta(days=9999))
        assert manager.get_global("g") == 1


@pytest.mark.parametrize("where", ["file", "lmdb", pytest.param("grid", marks=pytest.mark.grid)])
def test_the_time_to_live_reaches_the_place(
    where: str, request: pytest.FixtureRequest, tmp_path: Path, namespace: str, user: str
) -> None:
    manager: SessionManager
    match where:
        case "file":
            url = f"file://{tmp_path}"
            manager = FileBasedSessionManager(tmp_path, user_ttl=600, global_ttl=dt.timedelta(minutes=15))
        case "lmdb":
            url = f"lmdb://{tmp_path}"
            manager = LMDBSessionManager(tmp_path, user_ttl=600, global_ttl=900)
        case _:
            url = f"{request.getfixturevalue('grid').url}?namespace={namespace}"
            manager = HazelcastSessionManager(url, user_ttl=600, global_ttl=900)
    with manager, sync.SessionStore.open(url) as store:
        manager.save(user, "key", 1)
        manager.save_global("key", 1)
        assert 590 < (store.session(f"whatsapp-cloud:{user}").ttl() or 0) <= 600
        assert 890 < (store.globals.ttl("key") or 0) <= 900


def test_the_urls_own_ttl_counts_where_none_is_given(tmp_path: Path, user: str) -> None:
    url = f"file://{tmp_path}"
    with SessionManager(f"{url}?ttl=300") as manager, sync.SessionStore.open(url) as store:
        manager.save(user, "key", 1)
        assert 290 < (store.session(f"whatsapp-cloud:{user}").ttl() or 0) <= 300


def test_a_ttl_of_ones_own_leaves_the_urls_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "memory://?deadline=3&ttl=60"
    monkeypatch.setenv("GRIDSESSION_URL", url)
    for given in (url, None):
        with SessionManager(given, user_ttl=600) as manager:
            assert manager._place.blocking().policy == Policy(ttl=600, deadline=3)


def test_the_bounded_memory_makes_room() -> None:
    with CaffeineSessionManager(max_size=10) as manager:
        for number in range(100):
            manager.save(str(number), "key", number)
        assert sum(manager.key_in_session(str(number), "key") for number in range(100)) == 10


def test_the_defaults_are_those_of_the_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for kind, name in ((FileBasedSessionManager, "file-session"), (LMDBSessionManager, "lmdb-session")):
        with kind() as manager:
            monkeypatch.chdir("/")
            manager.save("1", "key", 1)
            monkeypatch.chdir(tmp_path)
            assert list((tmp_path / name).iterdir())


def test_the_bounded_memory_keeps_sessions_for_ten_minutes_and_globals_for_half_a_day() -> None:
    with CaffeineSessionManager() as manager:
        manager.save("1", "key", 1)
        manager.save_global("key", 1)
        store = manager._place.blocking()
        assert 590 < (store.session("whatsapp-cloud:1").ttl() or 0) <= 600
        assert 12 * 3600 - 10 < (store.globals.ttl("key") or 0) <= 12 * 3600


def test_the_bounded_memory_keeps_whom_it_knows_from_a_crowd() -> None:
    with CaffeineSessionManager(100) as manager:
        regular = manager.session("regular")
        for number in range(30):
            regular.save("visits", number)
        for number in range(1000):
            manager.save(str(number), "key", number)
        assert regular.get("visits") == 29


# --- whose store ------------------------------------------------------------------------------------------------------


def test_a_store_that_is_handed_in_is_never_closed() -> None:
    with sync.SessionStore.open("memory://") as store:
        with SessionManager(store) as manager:
            manager.save("1", "key", 1)
        with pytest.raises(errors.StoreClosed, match="the session manager is closed"):
            manager.get("1", "key")
        assert store.session("whatsapp-cloud:1").get("key") == 1
        assert SessionManager(store).get("1", "key") == 1


def test_a_bare_number_never_meets_an_id_of_another_platform() -> None:
    with sync.SessionStore.open("memory://") as store:
        store.session("line:1").set("key", "line's")
        store.session("whatsapp:1").set("key", "Twilio's")
        manager = SessionManager(store)
        assert manager.get("1", "key") is manager.get("line:1", "key") is None
        manager.save("line:1", "key", "WhatsApp's")
        assert sorted(store.ids()) == ["line:1", "whatsapp-cloud:line:1", "whatsapp:1"]
        assert manager.get("line:1", "key") == "WhatsApp's"
        assert store.session("line:1").get("key") == "line's"


def test_what_makes_no_sense_is_refused_where_it_is_written() -> None:
    wrong: list[Any] = [
        *("nonsense", "memory://?nonsense=1", "unknown://"),
        *(5, gridsession.SessionStore.open("memory://")),
    ]
    for given in wrong:
        with pytest.raises(errors.InvalidOption):
            SessionManager(given)
    with pytest.raises(
        errors.InvalidOption, match=r"takes a URL or a gridsession\.SessionStore, not a gridsession\.sync"
    ):
        AsyncSessionManager(sync.SessionStore.open("memory://"))  # type: ignore[arg-type]  # what is tested
    for ttl in (0, -1, "600", True):
        with pytest.raises(errors.InvalidOption):
            SessionManager("memory://", user_ttl=ttl)  # type: ignore[arg-type]  # same
        with pytest.raises(errors.InvalidOption):
            SessionManager("memory://", global_ttl=ttl)  # type: ignore[arg-type]  # same
    with pytest.raises(errors.InvalidOption, match=r"give them to SessionStore\.open"):
        SessionManager(sync.SessionStore.open("memory://"), user_ttl=600)


def test_without_a_url_the_environment_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDSESSION_URL", f"file://{tmp_path}")
    with SessionManager() as manager, FileBasedSessionManager(tmp_path) as other:
        manager.save("1", "key", 1)
        assert other.get("1", "key") == 1
    monkeypatch.delenv("GRIDSESSION_URL")
    with pytest.warns(RuntimeWarning, match="GRIDSESSION_URL is not set"):
        SessionManager().close()


# --- when it connects -------------------------------------------------------------------------------------------------


def test_it_connects_at_first_use_also_from_many_threads_at_once(place: Place, user: str) -> None:
    manager = place.make()
    together = threading.Barrier(8)

    def use(number: int) -> None:
        together.wait()
        manager.session(user).save(f"key{number}", number)

    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(use, range(8)))
        assert len(manager.fetch_all(user)) == 9
    finally:
        manager.close()
    manager.close()
    with pytest.raises(errors.StoreClosed):
        manager.session(user).get("key1")


def test_a_manager_that_was_never_used_is_closed_quietly() -> None:
    SessionManager("memory://").close()


def test_a_connection_that_failed_is_tried_again(tmp_path: Path) -> None:
    """Workers may start before the place is there: the first messages end in errors, the rest do not."""
    in_the_way = tmp_path / "mount"
    in_the_way.touch()
    manager = FileBasedSessionManager(in_the_way / "sessions")
    with contextlib.closing(manager):
        view = manager.session("1")
        for _ in range(2):
            with pytest.raises(errors.Unavailable, match="mount"):
                view.save("key", 1)
        in_the_way.unlink()
        view.save("key", 2)
        assert manager.get("1", "key") == 2


async def test_awaited_a_connection_that_failed_is_tried_again(tmp_path: Path) -> None:
    in_the_way = tmp_path / "mount"
    in_the_way.touch()
    manager = AsyncSessionManager(f"file://{in_the_way}/sessions")
    view = manager.session("1")
    for _ in range(2):
        with pytest.raises(errors.Unavailable, match="mount"):
            await view.save("key", 1)
    in_the_way.unlink()
    await view.save("key", 2)
    assert await manager.get("1", "key") == 2
    await manager.aclose()


def test_it_may_be_made_before_a_fork_and_used_after_it(tmp_path: Path) -> None:
    """As servers do that load the application once and fork their workers from it."""
    program = """
import os, sys
from gridsession.dialects.jawce import FileBasedSessionManager
from gridsession.errors import WrongLoop
manager = FileBasedSessionManager(sys.argv[1])
for number in range(2):
    if not os.fork():
        manager.session("1").save(f"key{number}", number)
        os._exit(0)
assert [os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(2)] == [0, 0]
assert sorted(manager.fetch_all("1")) == ["key0", "key1", "pywce_prop_key"]
if not os.fork():
    try:
        manager.get("1", "key0")
    except WrongLoop as error:
        os._exit(7 if "before the fork" in str(error) else 8)
    os._exit(9)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 7
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("where", ["memory", pytest.param("grid", marks=pytest.mark.grid)])
def test_a_program_that_never_closes_its_manager_ends_quietly(
    where: str, request: pytest.FixtureRequest, namespace: str
) -> None:
    url = "memory://" if where == "memory" else request.getfixturevalue("grid").url
    program = """
import sys
from gridsession.dialects.jawce import SessionManager
manager = SessionManager(sys.argv[1], namespace=sys.argv[2])
manager.session("1").save("key", 1)
manager.save_global("key", manager.get("1", "key"))
print(manager.get_global("key"))
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, url, namespace],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
