"""The contract, kept by the LMDB driver."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gridsession.drivers import Driver
from gridsession.drivers._clock import host_clock
from gridsession.drivers._lock import OpenLock, try_lock
from gridsession.drivers.lmdb import LmdbDriver
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
