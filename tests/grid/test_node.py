"""Real members: `LocalGrid`, `gridsession node`, and what happens when a member, or its starter, dies."""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import hazelcast
import pytest

from gridsession.cli.node import command
from gridsession.errors import GridSessionError, InvalidOption, MemberFailed
from gridsession.node.config import NodeConfig
from gridsession.node.health import Health, HealthServer
from gridsession.node.jvm_log import LogEvent
from gridsession.node.ports import free_ports
from gridsession.node.process import MemberProcess
from gridsession.testing.local_grid import LocalGrid

pytestmark = pytest.mark.grid

NODE = [sys.executable, "-c", "from gridsession.cli import main; main()", "node"]


@pytest.fixture(scope="module", autouse=True)
def real_members() -> None:
    """A machine that cannot run members fails under CI=true; elsewhere it is a visible skip."""
    try:
        MemberProcess(NodeConfig())
    except GridSessionError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no real members: {error}")


def eventually(holds: Callable[[], bool], what: str, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def state(pid: int) -> str:
    """The state of a process as `ps` writes it: R, S, T for stopped, Z for ended but not yet noticed; empty if none."""
    return subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()[:1]


def runs(pid: int) -> bool:
    return state(pid) not in {"", "Z"}


@contextmanager
def node(*arguments: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*NODE, *arguments], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | environ
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for_event(process: subprocess.Popen[str], name: str) -> dict[str, object]:
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("{"):
            event: dict[str, object] = json.loads(line)
            if event["event"] == name:
                return event
    raise AssertionError(f"the node ended without {name}")


def test_a_grid_of_three_survives_kill_stop_and_pause() -> None:
    with LocalGrid(3) as grid:
        assert grid.startup_seconds < 30
        assert grid.url == f"hazelcast://{','.join(f'127.0.0.1:{port}' for port in grid.ports)}/{grid.cluster_name}"
        first = grid.pid(1)
        grid.kill(1)
        assert not grid.alive(1)
        assert grid.start(1) > 0
        assert grid.pid(1) != first
        grid.wait_for_members()
        grid.stop(2)
        assert not grid.alive(2)
        grid.start(2)
        grid.wait_for_members()
        grid.pause(0)
        eventually(lambda: state(grid.pid(0)) == "T", "a paused member stands still")
        grid.resume(0)
        eventually(lambda: state(grid.pid(0)) != "T", "a resumed member runs on")
        pids = [grid.pid(number) for number in range(3)]
    assert not any(map(runs, pids))


def test_a_member_that_is_stopped_hands_its_sessions_over_first() -> None:
    """Without any copies, so that nothing else could have saved them."""
    keys = [f"telegram:{number}" for number in range(300)]
    with LocalGrid(3, backups=0) as grid:
        addresses = [f"127.0.0.1:{port}" for port in grid.ports]
        client = hazelcast.HazelcastClient(cluster_name=grid.cluster_name, cluster_members=addresses)
        try:
            sessions = client.get_map("gridsession.sessions.default").blocking()
            for key in keys:
                sessions.set(key, bytearray(b"record"))
            grid.stop(2)
            assert sum(value is not None for value in sessions.get_all(keys).values()) == len(keys)
            grid.start(2)
            grid.stop(0)
            assert sum(value is not None for value in sessions.get_all(keys).values()) == len(keys)
        finally:
            client.shutdown()


def test_members_end_with_the_process_that_started_them() -> None:
    code = (
        "import time\nfrom gridsession.testing.local_grid import LocalGrid\n"
        "with LocalGrid(1) as grid:\n    print(grid.pid(0), flush=True)\n    time.sleep(300)\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        assert runs(pid)
    finally:
        starter.kill()
        starter.communicate()
    eventually(lambda: not runs(pid), "the member ends when its starter is killed")


def test_the_configuration_holds_by_hazelcasts_own_schema() -> None:
    schema = "-Dhazelcast.config.schema.validation.enabled=true"
    with LocalGrid(1, jvm_options=("-XX:TieredStopAtLevel=1", schema)) as grid:
        assert grid.alive(0)


def test_a_node_says_when_it_is_ready_and_stops_when_asked() -> None:
    port = free_ports(1)[0]
    with node("--port", str(port), GRIDSESSION_CLUSTER_NAME="shop") as process:
        ready = wait_for_event(process, "member_ready")
        assert ready["address"] == f"127.0.0.1:{port}"
        assert "shop" not in str(ready)
        assert isinstance(ready["startup_seconds"], float)
        assert ready["backups"] == 0
        wait_for_event(process, "no_copies")
        pid = ready["pid"]
        assert isinstance(pid, int)
        process.send_signal(signal.SIGTERM)
        wait_for_event(process, "node_stopped")
        assert process.wait(30) == 0
        assert not runs(pid)


def test_a_node_stops_whichever_of_its_threads_is_given_the_signal() -> None:
    libc = ctypes.CDLL(None)
    port, checks = free_ports(2)
    with node("--port", str(port), "--http", f"127.0.0.1:{checks}") as process:
        wait_for_event(process, "member_ready")
        threads = {int(task.name) for task in Path(f"/proc/{process.pid}/task").iterdir()}
        other = min(threads - {process.pid})
        assert libc.tgkill(process.pid, other, signal.SIGTERM) == 0
        assert process.wait(30) == 0


def test_a_node_fails_with_the_reason_when_its_jvm_dies() -> None:
    with node("--port", str(free_ports(1)[0])) as process:
        pid = wait_for_event(process, "member_ready")["pid"]
        assert isinstance(pid, int)
        os.kill(pid, signal.SIGKILL)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 1
        assert "ended (exit code -9): killed by SIGKILL" in errors


def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with node("--port", str(port)) as process:
            _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"[{port}] is already in use" in errors.splitlines()[-1]


def test_the_default_name_is_refused_beyond_loopback() -> None:
    with node("--bind", "0.0.0.0") as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "refusing to listen on 0.0.0.0 under the default cluster name" in errors


def test_a_local_grid_to_play_with_prints_its_url() -> None:
    port = free_ports(1)[0]
    with node("--members", "1", "--port", str(port)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"hazelcast://127.0.0.1:{port}/gridsession\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "1 member ready in" in errors


WRONG_CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (clock == CLOCK_REALTIME) now->tv_sec += 30;
    return result;
}
int gettimeofday(struct timeval *now, void *zone) {
    int (*real)(struct timeval *, void *) = dlsym(RTLD_NEXT, "gettimeofday");
    int result = real(now, zone);
    now->tv_sec += 30;
    return result;
}
"""


@pytest.mark.skipif(sys.platform != "linux", reason="preloads a library that shifts the clock")
def test_a_member_whose_clock_is_off_does_not_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Expiry and leases are judged by the clock of whichever member owns a session."""
    compiler = shutil.which("cc")
    if compiler is None:
        assert os.environ.get("CI") != "true", "a C compiler is needed to shift a member's clock"
        pytest.skip("no C compiler to shift a member's clock with")
    source, library = tmp_path / "clock.c", tmp_path / "clock.so"
    source.write_text(WRONG_CLOCK)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    with LocalGrid(2) as grid:
        grid.stop(1)
        join, declared = (f"127.0.0.1:{grid.ports[0]}",), 2
        late = MemberProcess(
            NodeConfig(port=grid.ports[1], join=join, members_declared=declared, cluster_name=grid.cluster_name)
        )
        monkeypatch.setenv("LD_PRELOAD", str(library))
        late.start()
        monkeypatch.delenv("LD_PRELOAD")
        try:
            assert late.wait(60) is not None
            with pytest.raises(MemberFailed, match="this machine's clock and the cluster's differ by 30,"):
                raise late.failure()
        finally:
            late.kill()


def test_members_and_options_of_one_member_do_not_mix() -> None:
    with pytest.raises(InvalidOption, match="--join"):
        command(members=2, join="127.0.0.1:5701")
    with pytest.raises(InvalidOption, match="--data-dir"):
        command(members=2, data_dir=Path("data"))


def test_a_local_grid_told_to_stop_while_it_starts_ends_soon() -> None:
    with node("--members", "3", "--port", str(free_ports(1)[0]), "--verbose") as process:
        wait_for_event(process, "jvm_log")
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert output == ""


def test_a_listener_that_fails_does_not_stop_the_log() -> None:
    def fail(event: LogEvent) -> None:
        raise RuntimeError("in a listener")

    member = MemberProcess(NodeConfig(port=free_ports(1)[0]), on_event=fail)
    member.start()
    try:
        assert member.wait_ready() > 0
        # A crash, and a start before all of its log was read.
        os.kill(member.pid, signal.SIGKILL)
        eventually(lambda: not member.alive, "the JVM ends")
        member.start()
        assert member.wait_ready() > 0
    finally:
        member.kill()


def test_a_jvm_that_ends_while_starting_is_reported_at_once_and_not_at_the_timeout() -> None:
    member = MemberProcess(NodeConfig(port=free_ports(1)[0]), jvm_options=("-XX:NoSuchFlagExists",))
    member.start()
    began = time.monotonic()
    try:
        with pytest.raises(MemberFailed, match="ended while starting"):
            member.wait_ready(timeout=60)
        assert time.monotonic() - began < 30
    finally:
        member.kill()


def _ask(port: int, path: str) -> tuple[int, dict[str, object]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", path)
    answer = connection.getresponse()
    text = answer.read()
    return answer.status, json.loads(text) if answer.status != 404 else {}


def test_a_node_answers_health_checks() -> None:
    port, checks = free_ports(2)
    with node("--port", str(port), "--http", f"127.0.0.1:{checks}") as process:
        wait_for_event(process, "member_ready")
        health = {"alive": True, "ready": True, "reason": "", "members": 1, "needed": 1}
        # its member tells of itself a moment after it has joined
        eventually(lambda: _ask(checks, "/readyz") == (200, health), "it is ready")
        assert _ask(checks, "/healthz") == (200, health)
        assert _ask(checks, "/else")[0] == 404
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_a_node_without_its_majority_lives_but_is_not_ready() -> None:
    port, checks = free_ports(2)
    declared = ("--members-declared", "3", "--join", f"127.0.0.1:{free_ports(1)[0]}")
    with node("--port", str(port), "--http", f"127.0.0.1:{checks}", *declared) as process:
        wait_for_event(process, "no_majority")
        assert _ask(checks, "/healthz")[0] == 200
        status, health = _ask(checks, "/readyz")
        assert (status, health["reason"]) == (503, "it sees 1 of the 2 members that must be there to serve")


def test_a_node_that_cannot_answer_health_checks_says_so() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        taken = f"127.0.0.1:{held.getsockname()[1]}"
        with node("--port", str(free_ports(1)[0]), "--http", taken) as process:
            _, told = process.communicate(timeout=30)
            assert process.returncode == 1
            assert f"cannot answer health checks on {taken}" in told


def test_a_node_asked_to_stop_has_only_so_long() -> None:
    member = MemberProcess(NodeConfig(port=free_ports(1)[0], drain_timeout=0.001))
    member.start()
    member.wait_ready()
    member.pause()
    began = time.monotonic()
    member.stop()
    assert time.monotonic() - began < 10
    assert not member.alive


def test_a_node_whose_member_is_killed_while_it_stops_says_so() -> None:
    with node("--port", str(free_ports(1)[0]), "--drain-timeout", "0.5") as process:
        pid = wait_for_event(process, "member_ready")["pid"]
        assert isinstance(pid, int)
        # So it hands nothing over.
        os.kill(pid, signal.SIGSTOP)
        process.send_signal(signal.SIGTERM)
        assert wait_for_event(process, "member_killed")["after_seconds"] == 0.5
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "node_stopped" not in errors
    assert "did not hand its partitions over within 0.5 s" in errors


def test_health_checks_are_answered_on_ipv6() -> None:
    health = Health(True, True, "", 1, 1)
    port = free_ports(1)[0]
    with HealthServer(f"[::1]:{port}", lambda: health, str):
        connection = http.client.HTTPConnection("::1", port, timeout=5)
        connection.request("GET", "/readyz")
        assert connection.getresponse().status == 200
        connection.close()
