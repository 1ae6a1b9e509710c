"""A node's snapshots when something is wrong: with the grid's records, with a file, with the node itself."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from hazelcast.client import HazelcastClient

from gridsession import SessionStore
from gridsession.errors import GridSessionError
from gridsession.moving import snapshot
from gridsession.node.config import NodeConfig
from gridsession.node.snapshots import NAMESPACE, SnapshotKeeper
from gridsession.testing.local_grid import LocalGrid
from tests.canaries import WATCH

pytestmark = pytest.mark.grid


@pytest.fixture(scope="module", autouse=True)
def addresses_may_be_told() -> Iterator[None]:
    """A keeper stores its node's address and the names of files, and logs them; it is in this process here."""
    WATCH.off = True
    yield
    WATCH.off = False


@pytest.fixture(scope="module")
def grid() -> Iterator[LocalGrid]:
    """A machine that cannot run members fails under CI=true; elsewhere it is a visible skip."""
    try:
        with LocalGrid(1) as started:
            yield started
    except GridSessionError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no real members: {error}")


@pytest.fixture
def client(grid: LocalGrid) -> Iterator[HazelcastClient]:
    """To do what gridsession never does."""
    address = f"127.0.0.1:{grid.ports[0]}"
    opened = HazelcastClient(cluster_name=grid.cluster_name, cluster_members=[address])
    yield opened
    opened.shutdown()


@pytest.fixture
def config(grid: LocalGrid, tmp_path: Path) -> NodeConfig:
    """A node's, in a grid in which nothing was settled yet."""

    async def forget() -> None:
        async with SessionStore.open(grid.url, namespace=NAMESPACE) as store:
            await store.session("node:start").delete()
            await store.session("node:snapshots").delete()

    asyncio.run(forget())
    directory = tmp_path / "kept"
    return NodeConfig(
        port=grid.ports[0], cluster_name=grid.cluster_name, snapshot_every=1, snapshot_dir=directory, snapshot_keep=1
    )


def eventually(holds: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


async def fill(grid: LocalGrid) -> None:
    async with SessionStore.open(grid.url, namespace="shop") as store:
        await store.session("line:1").set("a", 1)


def files(config: NodeConfig) -> list[Path]:
    assert config.snapshot_dir is not None
    return sorted(config.snapshot_dir.glob("gridsession-*.gsr"))


def test_a_snapshot_that_lacks_something_pushes_no_good_one_out(
    grid: LocalGrid, client: HazelcastClient, config: NodeConfig
) -> None:
    began = time.time()
    records: Any = client.get_map("gridsession.sessions.shop").blocking()
    with SnapshotKeeper(config, lambda: False, lambda: None) as keeper:
        assert keeper.taken.last >= began, "before there is one, when it began"
        eventually(lambda: bool(files(config)), "a good one")
        asyncio.run(fill(grid))
        records.set("line:1", records.get("line:1")[:-3])
        eventually(lambda: keeper.taken.failures > 0, "one that lacks something")
        good = keeper.taken.last
        eventually(lambda: keeper.taken.failures >= 3, "more of them")
        assert keeper.taken.last == good
        names = [int(path.stem.removeprefix("gridsession-")) / 1000 for path in files(config)]
        assert good in names
        assert len(names) <= 3, "the good one, one that lacks something, and one that is about to go"
        records.delete("line:1")
        eventually(lambda: keeper.taken.last > good and len(files(config)) == 1, "a good one takes their place")


def test_what_is_unforeseen_is_tried_again(config: NodeConfig) -> None:
    settled, asked = Event(), []

    def founded() -> bool:
        asked.append(1)
        if len(asked) < 3:
            raise RuntimeError("not foreseen")
        return False

    with SnapshotKeeper(config, founded, settled.set) as keeper:
        assert settled.wait(30)
        eventually(lambda: bool(files(config)), "it takes snapshots")
        assert keeper.taken.failures == 0


def test_a_node_that_cannot_settle_is_sent_work_in_the_end_and_pushes_nothing_out(config: NodeConfig) -> None:
    def founded() -> bool:
        raise RuntimeError("not foreseen")

    settled = Event()
    with SnapshotKeeper(config, founded, settled.set) as keeper:
        assert settled.wait(30)
        eventually(lambda: keeper.taken.failures == 1, "it is told of")
    assert files(config) == []


def test_a_file_that_turns_out_bad_gives_way_to_an_older_one(
    grid: LocalGrid, client: HazelcastClient, config: NodeConfig
) -> None:
    assert config.snapshot_dir is not None
    config.snapshot_dir.mkdir()
    older, newer = (config.snapshot_dir / f"gridsession-{number}.gsr" for number in (1, 2))

    async def take() -> None:
        async with SessionStore.open(grid.url, namespace="shop") as store:
            for path in (older, newer):
                await snapshot(store, path, names=(path.name,))

    async def found() -> object:
        async with SessionStore.open(grid.url, namespace="shop") as store:
            return await store.session("line:1").get("a")

    def founded() -> bool:
        # Between the look at it and its use.
        newer.write_bytes(newer.read_bytes()[:-7])
        return True

    asyncio.run(fill(grid))
    asyncio.run(take())
    records: Any = client.get_map("gridsession.sessions.shop").blocking()
    records.delete("line:1")
    settled = Event()
    with SnapshotKeeper(replace(config, snapshot_every=3600), founded, settled.set):
        assert settled.wait(30)
    assert asyncio.run(found()) == 1
