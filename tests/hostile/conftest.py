"""Places of every kind that runs here: in memory, in files, on a Redis of our own and on a grid of members."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from gridsession import SessionStore, sync
from gridsession.drivers.memory import MemoryDriver
from gridsession.hooks import Hook
from tests.contract.servers import redis_server, running


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of our own."""
    server = redis_server(tmp_path_factory.mktemp("redis"))
    with running(server):
        yield f"redis://127.0.0.1:{server.port}/0"


class Place:
    """Somewhere to keep sessions, in a namespace nobody else uses."""

    def __init__(self, url: str | None, namespace: str) -> None:
        self.url = url
        self.namespace = namespace
        self._memory = MemoryDriver()

    def open(self, hook: Hook | None = None) -> SessionStore:
        """A store as one worker has it."""
        hooks = () if hook is None else (hook,)
        if self.url is None:
            return SessionStore.open(driver=self._memory, namespace=self.namespace, hooks=hooks)
        return SessionStore.open(self.url, namespace=self.namespace, hooks=hooks)

    def open_blocking(self) -> sync.SessionStore:
        """The same without `await`."""
        if self.url is None:
            return sync.SessionStore.open(driver=self._memory, namespace=self.namespace)
        return sync.SessionStore.open(self.url, namespace=self.namespace)


PLACES = ("memory", "file", "lmdb", "redis", pytest.param("grid", marks=pytest.mark.grid))


@pytest.fixture
def make_place(request: pytest.FixtureRequest, tmp_path: Path, namespace: str) -> Callable[[str], Place]:
    """Makes a place of one of the kinds above."""

    def make(kind: str) -> Place:
        urls: dict[str, Callable[[], str | None]] = {
            "memory": lambda: None,
            "file": tmp_path.as_uri,
            "lmdb": lambda: f"lmdb://{tmp_path}",
            "redis": partial(request.getfixturevalue, "redis_url"),
            "grid": lambda: str(request.getfixturevalue("grid").url),
        }
        return Place(urls[kind](), namespace)

    return make


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, make_place: Callable[[str], Place]) -> Place:
    """Each kind in turn."""
    return make_place(request.param)
