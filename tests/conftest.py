"""Fixtures shared by all tests."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gridsession.errors import GridSessionError
from gridsession.testing.local_grid import LocalGrid
from tests import canaries

canaries.install()

# Their asserts stand outside of test modules.
pytest.register_assert_rewrite("gridsession.testing.contract")


@contextmanager
def _three_members() -> Iterator[LocalGrid]:
    """A machine that cannot start them fails under CI=true; elsewhere it is a visible skip."""
    started = LocalGrid(members=3)
    try:
        started.__enter__()
    except GridSessionError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no real members: {error}")
    try:
        yield started
    finally:
        started.close()


@pytest.fixture(scope="session")
def grid() -> Iterator[LocalGrid]:
    """Three real members on loopback, started once. Tests share it: each takes a namespace of its own, kills nobody."""
    with _three_members() as started:
        yield started


@pytest.fixture(scope="module")
def own_grid() -> Iterator[LocalGrid]:
    """Three real members of the module's own, to be killed and frozen; each test leaves them whole."""
    with _three_members() as started:
        yield started


@pytest.fixture(autouse=True)
def loggers_as_they_were() -> Iterator[None]:
    """Puts back what a command that a test calls in this process sets up: its handler writes to that test's output."""
    root = logging.getLogger("gridsession")
    before = root.handlers, root.level, root.propagate
    yield
    root.handlers, root.level, root.propagate = before


@pytest.fixture(autouse=True)
def no_canary_sings() -> Iterator[None]:
    """What a test stores is in no log and no error, its ids in no log: all tests are searched (canaries.py)."""
    canaries.WATCH.findings()
    yield
    found = canaries.WATCH.findings()
    assert not found, found[0]


@pytest.fixture
def namespace() -> str:
    """A namespace nobody else uses."""
    return f"test-{secrets.token_hex(6)}"


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """An async test runs in a loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    asyncio.run(pyfuncitem.obj(**arguments))
    return True
