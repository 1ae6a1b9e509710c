"""The managers that all tests of the dialect run on, and numbers to write to."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from gridsession.dialects.jawce import (
    CaffeineSessionManager,
    FileBasedSessionManager,
    HazelcastSessionManager,
    LMDBSessionManager,
    SessionManager,
)

_NUMBERS = itertools.count(263_770_000_000)


class Place(NamedTuple):
    """Where managers keep sessions: how to make one, and whether two of them share what they keep."""

    make: Callable[[], SessionManager]
    shared: bool


@pytest.fixture(
    scope="module", params=["memory", "caffeine", "file", "lmdb", pytest.param("hazelcast", marks=pytest.mark.grid)]
)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The four defaults by name, and the manager over a plain URL."""
    directory: Path = tmp_path_factory.mktemp("sessions")
    match request.param:
        case "memory":
            return Place(lambda: SessionManager("memory://"), shared=False)
        case "caffeine":
            return Place(lambda: CaffeineSessionManager(max_size=500, user_ttl=600, global_ttl=900), shared=False)
        case "file":
            return Place(lambda: FileBasedSessionManager(directory / "with space"), shared=True)
        case "lmdb":
            return Place(lambda: LMDBSessionManager(directory), shared=True)
    url, namespace = request.getfixturevalue("grid").url, f"jawce-{secrets.token_hex(6)}"
    return Place(lambda: HazelcastSessionManager(url, namespace=namespace), shared=True)


@pytest.fixture(scope="module")
def manager(place: Place) -> Iterator[SessionManager]:
    """One manager for the module's tests."""
    with place.make() as made:
        yield made


@pytest.fixture
def user() -> str:
    """A WhatsApp number that nobody wrote from yet."""
    return str(next(_NUMBERS))
