"""Nodes that take snapshots by themselves, all killed, and started again: everything is back, once."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import secrets
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from gridsession import Policy, SessionStore
from gridsession.errors import CodecError, GridSessionError, InvalidOption, NodeError, Unavailable
from gridsession.moving import Contents, check_snapshot, snapshot
from gridsession.node.config import NodeConfig
from gridsession.node.ports import free_ports
from gridsession.node.snapshots import NAMESPACE, SnapshotKeeper, until_moment

# Seven JVMs in a row; half a minute on a quiet machine.
pytestmark = [pytest.mark.grid, pytest.mark.timeout(300)]

NODE = [sys.executable, "-c", "from gridsession.cli import main; main()", "node"]
EVERY = 3


def eventually(holds: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


class Node:
    """`gridsession node` with a directory of its own for snapshots, and what it logged."""

    def __init__(self, number: int, ports: list[int], checks: int, cluster: str, folder: Path, every: float) -> None:
        self.directory = folder / f"node{number}"
        self._port, self._checks = ports[number], checks
        self._log = folder / f"node{number}.log"
        # By name, as an orchestrator gives them: none is the address that the node has for itself.
        join = ",".join(f"localhost:{port}" for port in ports)
        self._command = [*NODE, "--port", str(ports[number]), "--cluster-name", cluster, "--memory", "128m"]
        self._command += ["--http", f"127.0.0.1:{checks}", "--snapshot-every", str(every)]
        self._command += ["--snapshot-dir", str(self.directory), "--snapshot-keep", "2"]
        if len(ports) > 1:
            self._command += ["--join", join, "--members-declared", str(len(ports))]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stderr=log, stdout=log)

    def kill(self) -> None:
        """As a power cut; the system ends the JVM too."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(60)

    def closed(self) -> bool:
        """Whether its JVM is gone: nobody listens where it did."""
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", self._port)) != 0

    def readiness(self) -> tuple[int, str]:
        assert self._process is not None
        assert self._process.poll() is None, f"it ended: {self._log.read_text()[-2000:]}"
        connection = http.client.HTTPConnection("127.0.0.1", self._checks, timeout=5)
        try:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())["reason"]
        except OSError:
            return 0, "nobody listens"
        finally:
            connection.close()

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]

    def snapshots(self) -> list[Path]:
        return sorted(self.directory.glob("gridsession-*.gsr"))

    def newest(self) -> Contents | None:
        try:
            return check_snapshot(self.snapshots()[-1])
        except (IndexError, CodecError, Unavailable):
            # None yet, or it was just replaced by a newer one.
            return None


class Nodes:
    """Nodes of one grid."""

    def __init__(self, folder: Path, count: int, every: float = EVERY) -> None:
        ports = free_ports(2 * count)
        cluster = f"snapshots-{secrets.token_hex(6)}"
        self.all = [Node(each, ports[:count], ports[count + each], cluster, folder, every) for each in range(count)]
        self.url = f"hazelcast://{','.join(f'127.0.0.1:{port}' for port in ports[:count])}/{cluster}"

    def start(self) -> None:
        for node in self.all:
            node.start()

    def wait_ready(self) -> None:
        for node in self.all:
            eventually(lambda node=node: node.readiness()[0] == 200, f"it is ready: {node.readiness()}")  # type: ignore[misc]

    def kill(self) -> None:
        for node in self.all:
            node.kill()
        for node in self.all:
            eventually(node.closed, "its JVM ends with it")


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    started = Nodes(tmp_path, 3)
    started.start()
    try:
        yield started
    finally:
        for node in started.all:
            node.kill()


def apart(nodes: Nodes) -> float:
    """The least distance of two nodes' moments in the interval, in seconds; evenly shared it is a third of it."""
    begun = [int(re.findall(r"\d+", node.snapshots()[-1].name)[0]) / 1000 % EVERY for node in nodes.all]
    return min(min((one - other) % EVERY, (other - one) % EVERY) for one, other in combinations(begun, 2))


async def fill(url: str, prefix: str, count: int) -> None:
    async with SessionStore.open(url, namespace="shop", policy=Policy(ttl=3600)) as store:
        await asyncio.gather(*(store.session(f"{prefix}:{index}").update(index=index) for index in range(count)))
        await store.globals.set(f"rate-{prefix}", 36.5)


async def digest(url: str, file: Path) -> tuple[dict[str, int], str]:
    """What a grid holds, as a snapshot tells it."""
    async with SessionStore.open(url, namespace="shop") as store:
        _, contents = await snapshot(store, file)
    return contents.records, contents.content


async def write_as_soon_as_it_answers(url: str) -> None:
    """A bot that does not wait for anybody: a session of which the snapshot has an older state."""
    while True:
        try:
            async with SessionStore.open(url, namespace="shop", policy=Policy(ttl=3600)) as store:
                await store.session("early:0").update(index="new")
                return
        except GridSessionError:
            await asyncio.sleep(0.05)


def test_all_nodes_killed_and_started_again_have_the_newest_snapshot_back_once(nodes: Nodes, tmp_path: Path) -> None:
    nodes.wait_ready()
    first, second, third = nodes.all
    asyncio.run(fill(nodes.url, "early", 100))
    for node in nodes.all:
        eventually(lambda node=node: (found := node.newest()) is not None and found.total("sessions") == 100, "all")  # type: ignore[misc]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for node in nodes.all for path in node.snapshots())
    eventually(lambda: apart(nodes) > EVERY / 6, f"one after another: {apart(nodes)} s apart")
    old = {node: (node.snapshots()[-1].name, node.snapshots()[-1].read_bytes()) for node in (first, second)}
    asyncio.run(fill(nodes.url, "late", 50))
    eventually(lambda: (found := third.newest()) is not None and found.total("sessions") == 150, "the third has all")
    records, content = asyncio.run(digest(nodes.url, tmp_path / "before"))
    nodes.kill()
    for node, (name, before) in old.items():
        # As if they had had no time for another one.
        for path in node.snapshots():
            path.unlink()
        (node.directory / name).write_bytes(before)
        assert (found := node.newest()) is not None
        assert found.total("sessions") == 100

    nodes.start()

    async def restarted() -> None:
        writing = asyncio.create_task(write_as_soon_as_it_answers(nodes.url))
        try:
            await asyncio.to_thread(nodes.wait_ready)
            async with asyncio.timeout(30):
                await writing
        finally:
            writing.cancel()
        async with SessionStore.open(nodes.url, namespace="shop") as store:
            assert await store.session("early:0").get("index") == "new"
            assert [await store.session(f"early:{index}").get("index") for index in range(1, 100)] == [*range(1, 100)]
            assert [await store.session(f"late:{index}").get("index") for index in range(50)] == [*range(50)]
            assert await store.globals.get("rate-late", fresh=True) == 36.5
            assert 3000 < (await store.session("late:1").ttl() or 0) < 3600

    asyncio.run(restarted())
    assert [len(node.events("restored")) for node in nodes.all] == [0, 0, 1]
    assert all(event["ok"] for event in third.events("restored"))
    # The session that a bot wrote meanwhile aside, it is what it was.
    again, other = asyncio.run(digest(nodes.url, tmp_path / "after"))
    assert again == records
    assert other != content

    async def put_back() -> None:
        async with SessionStore.open(nodes.url, namespace="shop") as store:
            await store.session("early:0").delete()

    asyncio.run(put_back())
    # In a grid that runs, a node that is started again restores nothing: what was deleted stays deleted.
    assert first.stop() == 0
    first.start()
    nodes.wait_ready()
    assert first.events("restored") == []
    assert len(first.snapshots()) <= 2

    async def stays() -> None:
        async with SessionStore.open(nodes.url, namespace="shop") as store:
            assert not await store.session("early:0").exists()
        async with SessionStore.open(nodes.url, namespace=NAMESPACE) as store:
            told = (await store.session("node:start").load())["settled"]
            assert told["restored"] is not None

    asyncio.run(stays())


def test_a_damaged_snapshot_is_passed_over_and_one_that_was_begun_is_removed(tmp_path: Path) -> None:
    alone = Nodes(tmp_path, 1, every=1)
    (node,) = alone.all
    node.start()
    try:
        alone.wait_ready()
        asyncio.run(fill(alone.url, "early", 20))
        eventually(lambda: (found := node.newest()) is not None and found.total("sessions") == 20, "a snapshot")
        alone.kill()
        good = node.snapshots()[-1]
        later = good.with_name(f"gridsession-{int(time.time() * 1000)}.gsr")
        later.write_bytes(good.read_bytes()[:-7])
        (node.directory / "gridsession-1.gsr.part").write_bytes(b"cut off")
        (node.directory / "notes.txt").write_text("not ours")
        node.start()
        alone.wait_ready()
        assert [event["file"] for event in node.events("snapshot_damaged")] == [str(later)]
        assert node.events("restored")[0]["restore_sessions_restored"] == 20

        async def there() -> None:
            async with SessionStore.open(alone.url, namespace="shop") as store:
                assert await store.session("early:7").get("index") == 7

        asyncio.run(there())
        eventually(lambda: later not in node.snapshots(), "newer ones take the place of what is damaged")
        assert sorted(path.name for path in node.directory.glob("*.part")) in (
            [],
            [node.snapshots()[-1].name + ".part"],
        )
        assert (node.directory / "notes.txt").exists()
        assert node.stop() == 0
    finally:
        node.kill()


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    config = NodeConfig(snapshot_every=60, snapshot_dir=tmp_path / "file")
    with pytest.raises(NodeError, match="cannot keep snapshots in"):
        SnapshotKeeper(config, bool, bool)


def unwritable(folder: Path) -> Path:
    """A folder that can be read and not written to; root may write to all but the system's own."""
    if os.geteuid() == 0:
        return Path("/proc/self/fdinfo")
    folder.chmod(0o500)
    return folder


def test_a_folder_that_cannot_be_written_to_is_told_before_the_member_starts(tmp_path: Path) -> None:
    folder = str(unwritable(tmp_path))
    command = [*NODE, "--port", str(free_ports(1)[0]), "--snapshot-every", "60", "--snapshot-dir", folder]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "cannot keep snapshots in" in ended.stderr
    assert "member_started" not in ended.stderr


def test_a_folder_that_can_be_used_is_left_as_it_was(tmp_path: Path) -> None:
    SnapshotKeeper(NodeConfig(snapshot_every=60, snapshot_dir=tmp_path / "new"), bool, bool)
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize(
    ("now", "share", "seconds"), [(600, 0, 0), (601, 0, 59), (600, 0.5, 30), (631, 0.5, 59), (659, 0.75, 46)]
)
def test_a_nodes_moment_is_by_the_wall_clock(now: float, share: float, seconds: float) -> None:
    assert until_moment(now, 60, share) == seconds


def test_options_that_make_no_sense(tmp_path: Path) -> None:
    with pytest.raises(InvalidOption, match="both"):
        NodeConfig(snapshot_every=60)
    with pytest.raises(InvalidOption, match="snapshot_every"):
        NodeConfig(snapshot_every=0, snapshot_dir=tmp_path)
    with pytest.raises(InvalidOption, match="keep at least 1"):
        NodeConfig(snapshot_keep=0)
    environ = {"GRIDSESSION_SNAPSHOT_EVERY": "300", "GRIDSESSION_SNAPSHOT_DIR": str(tmp_path)}
    config = NodeConfig.from_options(environ | {"GRIDSESSION_SNAPSHOT_KEEP": "5"})
    assert (config.snapshot_every, config.snapshot_dir, config.snapshot_keep) == (300.0, tmp_path, 5)
    assert os.environ.get("GRIDSESSION_SNAPSHOT_EVERY") is None
