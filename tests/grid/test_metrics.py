"""What nodes tell on their one HTTP port: exact counts under known work, and readiness that follows what happens."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from gridsession._commands import Acquire, Load
from gridsession.errors import Conflict, GridSessionError, Leased
from gridsession.node.config import NodeConfig
from gridsession.node.health import Health
from gridsession.node.metrics import SnapshotsTaken, exposition
from gridsession.node.ports import free_ports
from gridsession.node.process import MemberProcess
from gridsession.sync import SessionStore
from tests.grid import driving
from tests.grid.driving import a_space, increment, opened
from tests.prometheus import metrics_in, rules

pytestmark = pytest.mark.grid

NODE = [sys.executable, "-c", "from gridsession.cli import main; main()", "node"]
QUICK = {"JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1"}
SHIFTED_CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static int shifted(void) { const char *file = getenv("SHIFTED_IF"); return file && access(file, F_OK) == 0; }
int clock_gettime(clockid_t clock, struct timespec *now) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (clock == CLOCK_REALTIME && shifted() && (now->tv_nsec += 200000000) >= 1000000000) {
        now->tv_nsec -= 1000000000;
        now->tv_sec += 3;
    } else if (clock == CLOCK_REALTIME && shifted()) {
        now->tv_sec += 2;
    }
    return result;
}
int gettimeofday(struct timeval *now, void *zone) {
    int (*real)(struct timeval *, void *) = dlsym(RTLD_NEXT, "gettimeofday");
    int result = real(now, zone);
    if (shifted() && (now->tv_usec += 200000) >= 1000000) {
        now->tv_usec -= 1000000;
        now->tv_sec += 3;
    } else if (shifted()) {
        now->tv_sec += 2;
    }
    return result;
}
"""


class Node:
    """One `gridsession node`, asked as Prometheus and an orchestrator ask it."""

    def __init__(self, port: int, join: str, cluster: str, log: Path, **environ: str) -> None:
        self._http = free_ports(1)[0]
        options = ["--port", str(port), "--http", f"127.0.0.1:{self._http}", "--join", join]
        options += ["--members-declared", "3", "--cluster-name", cluster, "--memory", "128m"]
        self._command, self._log, self._environ = [*NODE, *options], log, os.environ | QUICK | environ
        self.start()

    def start(self) -> None:
        with self._log.open("a") as errors:
            self.process = subprocess.Popen(self._command, stderr=errors, env=self._environ)

    def jvm(self) -> int:
        """The process id of its JVM."""
        listed = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid=,comm="], capture_output=True, text=True, check=True
        ).stdout
        rows = (line.split(None, 2) for line in listed.splitlines())
        (found,) = (int(pid) for pid, parent, name in rows if int(parent) == self.process.pid and name.endswith("java"))
        return found

    def get(self, path: str) -> tuple[int, str, str]:
        """Status, content type and text; 0 while nobody listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._http}{path}", timeout=5) as answer:
                return answer.status, answer.headers["Content-Type"], answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, "", error.read().decode()
        except OSError:
            return 0, "", ""

    def ready(self) -> bool:
        return self.get("/readyz")[0] == 200

    def metrics(self) -> dict[str, Metric]:
        return {family.name: family for family in text_string_to_metric_families(self.get("/metrics")[2])}

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples of this name with these labels; 0 if there are none."""
        return sum(
            sample.value
            for family in self.metrics().values()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


class Nodes:
    """Three of them.

    Attributes:
        shift: while this file exists, the last node's clock is 2.2 s ahead (from 2.5 s on, heartbeats are ignored).
    """

    def __init__(self, folder: Path, library: Path | None) -> None:
        ports, cluster = free_ports(3), f"metrics-{secrets.token_hex(4)}"
        join = ",".join(f"127.0.0.1:{port}" for port in ports)
        self.url = f"hazelcast://{join}/{cluster}"
        self.shift = folder / "shifted"
        preload = {"LD_PRELOAD": str(library), "SHIFTED_IF": str(self.shift)} if library else {}
        self.all = [Node(ports[0], join, cluster, folder / "0.log")]
        # the oldest member's clock is the cluster's: it must not be the one that is shifted
        eventually(lambda: self.all[0].value("gridsession_members") == 1, "the first founds the cluster", 60)
        self.all.append(Node(ports[1], join, cluster, folder / "1.log"))
        self.all.append(Node(ports[2], join, cluster, folder / "2.log", **preload))

    def total(self, name: str, **labels: str) -> float:
        return sum(node.value(name, **labels) for node in self.all)


def eventually(holds: Callable[[], bool], what: str, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Real nodes; a machine that cannot run members fails under CI=true, elsewhere it is a visible skip."""
    try:
        MemberProcess(NodeConfig())
    except GridSessionError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no real members: {error}")
    folder = tmp_path_factory.mktemp("nodes")
    library = None
    if sys.platform == "linux" and (compiler := shutil.which("cc")):
        (folder / "clock.c").write_text(SHIFTED_CLOCK)
        library = folder / "clock.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, folder / "clock.c", "-ldl"], check=True)
    made = Nodes(folder, library)
    try:
        eventually(lambda: all(node.ready() for node in made.all), "all are ready", 60)
        eventually(lambda: made.total("gridsession_partitions_unsafe") == 0, "all copies are made", 60)
        yield made
    finally:
        for node in made.all:
            node.process.terminate()
        for node in made.all:
            try:
                node.process.wait(30)
            except subprocess.TimeoutExpired:
                node.process.kill()
                node.process.wait()


def test_prometheus_reads_it(nodes: Nodes) -> None:
    status, kind, text = nodes.all[0].get("/metrics")
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    families = nodes.all[0].metrics()
    assert len(families) > 30
    for family in families.values():
        assert family.name.startswith("gridsession_")
        assert family.documentation.endswith(".")
        assert family.type in ("counter", "gauge", "histogram")
        # the parser cuts it off the family's name
        if family.type == "counter":
            assert f"# TYPE {family.name}_total counter\n" in text
    samples = [
        (sample.name, *sorted(sample.labels.items())) for family in families.values() for sample in family.samples
    ]
    assert len(samples) == len(set(samples))
    for command in ("load", "commit"):
        buckets = [
            (float(sample.labels["le"]), sample.value)
            for sample in families["gridsession_command_seconds"].samples
            if sample.name.endswith("_bucket") and sample.labels["command"] == command
        ]
        assert buckets == sorted(buckets)
        assert [value for _, value in buckets] == sorted(value for _, value in buckets)
        assert buckets[-1][0] == float("inf")


def test_each_metric_that_dashboard_and_alerts_name_is_told(nodes: Nodes) -> None:
    with SessionStore.open(nodes.url) as store:
        store.session("line:1").set("n", 1)
        store.globals.set("motd", "hello")
    eventually(lambda: nodes.total("gridsession_globals", role="owner") > 0, "the global is told of")
    told: dict[str, set[str]] = {}
    for node in nodes.all:
        for family in node.metrics().values():
            for sample in family.samples:
                told.setdefault(sample.name, {"job", "instance"}).update(sample.labels)
    # Told where snapshots are taken, which these do not.
    text = exposition(Health(True, True, "", 3, 2), None, SnapshotsTaken(60, 0, 0))
    told |= {
        family.name: {"job", "instance"} for family in text_string_to_metric_families(text) if "snap" in family.name
    }
    named = metrics_in(rules())
    assert len(named) > 20
    for metric, labels in named:
        assert metric in told, metric
        assert labels <= told[metric], metric


def test_it_counts_what_was_done(nodes: Nodes, namespace: str) -> None:
    def counts() -> dict[str, float]:
        total = nodes.total
        return {
            "commits": total("gridsession_command_seconds_count", command="commit"),
            "conflicts": total("gridsession_commands_total", command="commit", status="conflict"),
            "leased": total("gridsession_commands_total", command="load", status="leased"),
            "duplicates": total("gridsession_command_duplicates_total", command="commit"),
            "expired": total("gridsession_sessions_expired_total"),
            "run_out": total("gridsession_leases_run_out_total"),
            "owned": total("gridsession_sessions", namespace=namespace, role="owner"),
            "copies": total("gridsession_sessions", namespace=namespace, role="backup"),
            "merges": total("gridsession_merges_total"),
            "lost": total("gridsession_partitions_lost_total"),
            "evicted": total("gridsession_records_evicted_total"),
        }

    # Nodes tell once a second: when each tells of these, it has told of what earlier tests did.
    earlier = f"{namespace}-earlier"
    with SessionStore.open(nodes.url, namespace=earlier) as store:
        for number in range(30):
            store.session(f"line:{number}").set("n", 1)
    eventually(
        lambda: all(nodes.total("gridsession_sessions", namespace=earlier, role=r) == 30 for r in ("owner", "backup")),
        "all tell of what was done before",
    )
    before = counts()
    with SessionStore.open(nodes.url, namespace=namespace) as store:
        for number in range(30):
            store.session(f"line:secret-{number}").set("n", 1)
        with pytest.raises(Conflict):
            store.session("line:secret-0").commit(if_absent=True)
        brief = store.session("line:secret-1")
        brief.touch(ttl=0.05)
        eventually(lambda: not brief.exists(), "it expires")
        brief.set("n", 2)
        with store.turn("line:secret-2"), pytest.raises(Leased), store.turn("line:secret-2", wait=0):
            pass
    asyncio.run(_duplicate_and_lease_that_runs_out(nodes.url))

    def done() -> bool:
        now = {name: value - before[name] for name, value in counts().items()}
        # each copy that a busy machine makes late costs a retry, which is a duplicate
        retries = now["duplicates"] - 1
        return retries >= 0 and now == {
            # those 30, the one in conflict, the one after expiry, and the two of the driver
            "commits": 30 + 1 + 1 + 2 + retries,
            "conflicts": max(1, now["conflicts"]),
            "leased": max(1, now["leased"]),
            "duplicates": 1 + retries,
            "expired": 1,
            "run_out": 1,
            "owned": 30,
            "copies": 30,
            "merges": 0,
            "lost": 0,
            "evicted": 0,
        }

    try:
        eventually(done, "all is counted")
    except AssertionError:
        raise AssertionError({name: value - before[name] for name, value in counts().items()}) from None
    for node in nodes.all:
        assert "secret" not in node.get("/metrics")[2], "session ids are in no label"


async def _duplicate_and_lease_that_runs_out(url: str) -> None:
    async with opened(url) as driver:
        space = a_space()
        command = increment(driver)
        for _ in range(2):
            await driver.execute(space, "a:duplicate", command)

        def asking() -> Load:
            asked = Acquire("test", secrets.token_bytes(16), duration=50, patience=0)
            return Load(acquire=asked, not_after=driver.now() + 10_000)

        async def granted() -> bool:
            reply = await driver.execute(space, "a:leased", asking())
            return reply.grant is not None and reply.grant.token != 0

        assert await granted()
        await driving.eventually(granted, "its lease runs out")


def test_bytes_are_those_of_sessions_and_their_copies(nodes: Nodes, namespace: str) -> None:
    size, number = 20_000, 40
    with SessionStore.open(nodes.url, namespace=namespace) as store:
        for each in range(number):
            store.session(f"line:{each}").set("text", "x" * size)
    at_least = number * (size + 75)
    for role in ("owner", "backup"):
        labels = {"namespace": namespace, "kind": "sessions", "role": role}
        eventually(lambda labels=labels: nodes.total("gridsession_entry_bytes", **labels) >= at_least, role)
        assert nodes.total("gridsession_entry_bytes", **labels) < at_least + number * 500
    for node in nodes.all:
        held, live = node.value("gridsession_entry_bytes"), node.value("gridsession_heap_live_bytes")
        assert 0 < held <= live < node.value("gridsession_heap_max_bytes") <= 128 << 20
        assert node.value("gridsession_heap_used_bytes") > 0


def test_it_tells_of_the_grid(nodes: Nodes) -> None:
    assert nodes.total("gridsession_partitions_owned") == 271
    eventually(lambda: nodes.total("gridsession_partitions_unsafe") == 0, "all copies are made", 30)
    for node in nodes.all:
        told = {
            name: node.value(f"gridsession_{name}")
            for name in ("members", "members_declared", "backups", "cluster_active", "node_ready", "writes_refused")
        }
        assert told == {
            "members": 3,
            "members_declared": 3,
            "backups": 1,
            "cluster_active": 1,
            "node_ready": 1,
            "writes_refused": 0,
        }
        assert abs(node.value("gridsession_clock_skew_seconds")) < 1
        assert node.value("gridsession_node_told_age_seconds") < 5


def test_a_node_whose_clock_goes_wrong_is_not_ready(nodes: Nodes) -> None:
    if "LD_PRELOAD" not in Path(f"/proc/{nodes.all[2].process.pid}/environ").read_text():
        assert os.environ.get("CI") != "true", "a C compiler is needed to shift a node's clock"
        pytest.skip("no C compiler to shift a node's clock with")
    nodes.shift.touch()
    try:
        eventually(lambda: _notices_its_clock(nodes.all[2]), "it notices")
        assert nodes.all[2].get("/healthz")[0] == 200
        assert all(node.ready() for node in nodes.all[:2])
    finally:
        nodes.shift.unlink()


def _notices_its_clock(node: Node) -> bool:
    status, _, text = node.get("/readyz")
    said = status == 503 and "clock and the cluster's differ by +2" in text
    return said and 2 < node.value("gridsession_clock_skew_seconds") < 3 and node.value("gridsession_node_ready") == 0


@pytest.mark.fault
def test_a_node_whose_member_stands_still_is_not_ready(nodes: Nodes) -> None:
    jvm = nodes.all[1].jvm()
    os.kill(jvm, signal.SIGSTOP)
    try:
        eventually(lambda: "told nothing of itself" in nodes.all[1].get("/readyz")[2], "it is noticed", 20)
        assert "gridsession_members" not in nodes.all[1].metrics(), "what is stale is not told"
        assert nodes.all[1].value("gridsession_node_told_age_seconds") > 10
    finally:
        os.kill(jvm, signal.SIGCONT)
    eventually(lambda: all(node.ready() for node in nodes.all), "it is back", 60)


def test_a_node_tells_also_while_the_grid_refuses_and_while_it_stops(nodes: Nodes) -> None:
    """Last: it ends all of them, two at once, with both copies of what only these held.

    By the way it waits until the last one's clock counts as right again: for 20 s, time is not set back.
    """
    *ended, left = nodes.all
    eventually(left.ready, "its clock is right", 60)
    shares = [partial(node.value, "gridsession_partitions_owned") for node in nodes.all]
    eventually(lambda: all(80 < share() < 100 for share in shares), "all have a third", 30)
    eventually(lambda: nodes.total("gridsession_partitions_unsafe") == 0, "all is copied", 30)
    for node in ended:
        node.process.kill()
        node.process.wait()
    eventually(lambda: left.value("gridsession_members") == 1, "it is alone", 30)
    eventually(lambda: "it sees 1 of the 2 members" in left.get("/readyz")[2], "it is not ready")
    assert (left.get("/readyz")[0], left.get("/healthz")[0]) == (503, 200)
    assert left.value("gridsession_node_ready") == 0
    eventually(lambda: left.value("gridsession_partitions_owned") == 271, "it takes over all")
    eventually(lambda: left.value("gridsession_partitions_unsafe") == 271, "nothing of it is copied")
    # it may just as well be cut off from two that are well
    assert left.value("gridsession_partitions_lost_total") == 0
    ended[0].start()
    eventually(left.ready, "two of three are there again", 60)
    eventually(lambda: 50 < left.value("gridsession_partitions_lost_total") < 130, "what was lost is counted")
    # so that it takes long
    os.kill(left.jvm(), signal.SIGSTOP)
    left.process.send_signal(signal.SIGTERM)
    eventually(lambda: "hands its partitions over and stops" in left.get("/readyz")[2], "it says that it stops")
    assert left.value("gridsession_node_ready") == 0
    os.kill(left.jvm(), signal.SIGCONT)
    assert left.process.wait(60) == 0
