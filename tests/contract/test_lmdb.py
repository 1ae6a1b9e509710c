"""The contract, kept by the LMDB driver."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gridsession.drivers import Driver
from gridsession.drivers._clock import host_clock
from gridsession.drivers._lock import OpenLock, try_lock
from gridsession.drivers.lmdb import LmdbDriver
from gridsession.sync import SessionStore
from gridsession.testing.clock import ManualClock
from gridsession.testing.contract import DriverContract


class TestLmdb(DriverContract):
    """Each case in a directory of its own."""

    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def make_driver(self, clock: ManualClock | None) -> Driver:
        """The same directory each time."""
        return LmdbDriver(self.directory, clock=clock or host_clock)

    def worker_url(self) -> str:
        """The same directory, for a worker."""
        return f"lmdb://{self.directory}"


def test_the_open_lock_keeps_threads_and_others_out(tmp_path: Path) -> None:
    lock = OpenLock(tmp_path / "lock")
    assert lock.take()
    with ThreadPoolExecutor(1) as thread:
        assert not thread.submit(lock.take).result()
    with try_lock(tmp_path / "lock") as locked:
        assert not locked
    lock.give_back()
    with try_lock(tmp_path / "lock") as locked:
        assert locked
        assert not lock.take()
    assert lock.take()
    lock.give_back()
    lock.close()


FORKED = """
import asyncio, os, signal, sys
from gridsession import SessionStore
from gridsession.drivers import _lmdb_env

URL = sys.argv[1]

async def child():
    async with SessionStore.open(URL) as store:
        await store.session("line:U1").increment("n")
        print(await store.session("line:U1").get("n"))

async def parent():
    await (await SessionStore.open(URL)).session("line:U1").set("n", 1)

asyncio.run(parent())
ours, theirs = os.pipe()
if os.fork():
    (environment,) = _lmdb_env._OPEN.values()
    assert environment._lock.take()
    os.kill(os.getpid(), signal.SIGKILL)
os.close(theirs)
os.read(ours, 1)
print("alone", flush=True)
sys.stdin.readline()
asyncio.run(child())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_opens_its_own_and_keeps_no_lock_of_a_parent_killed_in_a_write(tmp_path: Path) -> None:
    url = f"lmdb://{tmp_path}?deadline=5"
    command = [sys.executable, "-c", FORKED, url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as forked:
        assert forked.stdin is not None
        assert forked.stdout is not None
        assert forked.stdout.readline() == "alone\n"
        with SessionStore.open(url) as store:
            assert store.session("line:U1").increment("n") == 2
            forked.stdin.write("\n")
            forked.stdin.flush()
            assert forked.stdout.readline() == "3\n"
            assert store.session("line:U1").get("n") == 3
