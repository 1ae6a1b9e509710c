"""Fixtures for the tests of a bot: its sessions in memory, on a clock that the test moves. Nothing is started.

pytest finds them by itself where gridsession is installed; `-p no:gridsession` leaves them out. Drivers, members and
the Hazelcast client are imported when a test asks for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gridsession import Policy, SessionStore
    from gridsession.drivers.memory import MemoryDriver
    from gridsession.sync import SessionStore as BlockingStore
    from gridsession.testing.clock import ManualClock
    from gridsession.testing.local_grid import LocalGrid


@pytest.fixture
def gridsession_clock() -> ManualClock:
    """The clock by which sessions expire and leases end: `gridsession_clock.advance(900)`."""
    from gridsession.testing.clock import ManualClock

    return ManualClock()


@pytest.fixture
def gridsession_driver(gridsession_clock: ManualClock) -> MemoryDriver:
    """A memory of the test's own, which all its stores share as workers share a grid."""
    from gridsession.drivers.memory import MemoryDriver

    return MemoryDriver(clock=gridsession_clock)


@pytest.fixture
def gridsession_policy() -> Policy:
    """How sessions live: the default; override this fixture to test with your own."""
    from gridsession import Policy

    return Policy()


@pytest.fixture
def gridsession_open(gridsession_driver: MemoryDriver, gridsession_policy: Policy) -> Callable[[], SessionStore]:
    """Makes a store as one worker has it: `async with gridsession_open() as store`. Several are several workers."""
    from gridsession import SessionStore

    return lambda: SessionStore.open(driver=gridsession_driver, policy=gridsession_policy)


@pytest.fixture
def gridsession_store(gridsession_open: Callable[[], SessionStore]) -> SessionStore:
    """A store, to be opened in the test's own loop: `async with gridsession_store as store`."""
    return gridsession_open()


@pytest.fixture
def gridsession_blocking_store(gridsession_driver: MemoryDriver, gridsession_policy: Policy) -> Iterator[BlockingStore]:
    """The store without `await`, open. It has the driver to itself: a test uses this one or the others."""
    from gridsession.sync import SessionStore

    with SessionStore.open(driver=gridsession_driver, policy=gridsession_policy) as store:
        yield store


@pytest.fixture(scope="session")
def gridsession_grid() -> Iterator[LocalGrid]:
    """Three real members on loopback, started once; needs Java (the extra `node` brings it).

    `SessionStore.open(gridsession_grid.url, namespace=...)` with a namespace for each test.
    """
    from gridsession.testing.local_grid import LocalGrid

    with LocalGrid(members=3) as grid:
        yield grid
