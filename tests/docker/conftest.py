"""The compose file of the project, brought up once; on a machine without an engine one is made (engine.sh, as root)."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ENGINE = HERE / "engine.sh"


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[None]:
    """An engine with compose v2 and the base image; a visible skip where that cannot be, a failure under CI=true.

    One that was made here ends with the tests.
    """
    if not shutil.which("docker") and os.geteuid() != 0 and os.environ.get("CI") != "true":
        pytest.skip("no Docker engine, and making one needs root")
    before = _private_engine()
    exports = subprocess.run([ENGINE, "start"], stdout=subprocess.PIPE, text=True, timeout=300, check=True).stdout
    for line in exports.splitlines():
        name, _, value = shlex.split(line)[1].partition("=")
        os.environ[name] = value
    try:
        # From nothing both take minutes: compose is built with Go, the base image out of Debian's packages.
        subprocess.run([ENGINE, "compose"], stdout=subprocess.DEVNULL, timeout=1200, check=True)
        subprocess.run([ENGINE, "base-image"], stdout=subprocess.DEVNULL, timeout=600, check=True)
        yield
    finally:
        if exports and _private_engine() != before:
            subprocess.run([ENGINE, "stop"], timeout=60, check=True)


def _private_engine() -> str:
    """The process id of the engine that engine.sh keeps, if it ever ran: whether it is ours to stop."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    home = Path(os.environ.get("DOCKER_ENGINE_HOME") or Path(cache, "docker-engine"))
    try:
        pid = (home / "d.pid").read_text()
    except FileNotFoundError:
        return ""
    return pid if Path(f"/proc/{pid.strip()}").exists() else ""


@pytest.fixture(scope="session")
def docker_compose_file(pytestconfig: pytest.Config) -> str:
    return str(pytestconfig.rootpath / "docker-compose.yml")


@pytest.fixture(scope="session")
def docker_compose_project_name() -> str:
    return "gridsession-tests"


@pytest.fixture(scope="session")
def docker_setup(docker_engine: None) -> list[str]:
    _began.append(time.monotonic())
    # pytest-docker does not clean up after an `up` that failed: what such a run left is cleared first
    return ["down -v --remove-orphans --timeout 5", "up --build --wait --wait-timeout 240"]


@pytest.fixture(scope="session")
def docker_cleanup() -> list[str]:
    return ["down -v --remove-orphans --timeout 5"]


_began: list[float] = []


class Cluster:
    """The running services, as an operator and as a platform sees them.

    Attributes:
        seconds_up: what `docker compose up --build --wait` took.
    """

    WORKERS = ("worker1", "worker2")
    NODES = ("node1", "node2", "node3")

    def __init__(self, file: str, project: str) -> None:
        self.seconds_up = time.monotonic() - _began[0]
        self._command = ["docker", "compose", "-f", file, "-p", project]
        self._ports: dict[str, int] = {}
        self.network = f"{project}_default"

    def compose(self, *arguments: str) -> str:
        done = subprocess.run([*self._command, *arguments], capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def container(self, service: str) -> str:
        return self.compose("ps", "-a", "-q", service)

    def docker(self, *arguments: str) -> str:
        done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def inspect(self, service: str, template: str) -> str:
        return self.docker("inspect", "-f", template, self.container(service))

    def wait_healthy(self, *services: str, seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        for service in services:
            while self.inspect(service, "{{.State.Status}} {{.State.Health.Status}}") != "running healthy":
                assert time.monotonic() < deadline, f"{service} is not healthy after {seconds} s"
                time.sleep(0.3)

    def post(self, worker: str, platform: str, body: bytes, *, form: bool = False) -> tuple[int, Any]:
        """Status and answer; 0 where there is no connection, as a platform sees it."""
        # A restarted container has another port, so it is asked for again after each failure.
        try:
            port = self._ports.get(worker) or int(self.compose("port", worker, "8080").rpartition(":")[2])
            self._ports[worker] = port
            kind = "application/x-www-form-urlencoded" if form else "application/json"
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/webhook/{platform}", body, {"Content-Type": kind}, method="POST"
            )
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except (OSError, AssertionError, ValueError):
            self._ports.pop(worker, None)
            return 0, None


@pytest.fixture(scope="session")
def cluster(docker_services: object, docker_compose_file: str, docker_compose_project_name: str) -> Cluster:
    return Cluster(docker_compose_file, docker_compose_project_name)


@pytest.fixture
def healthy(cluster: Cluster) -> Callable[[], None]:
    def wait() -> None:
        cluster.wait_healthy(*cluster.NODES, *cluster.WORKERS)

    wait()
    return wait
