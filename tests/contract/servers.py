"""Real servers for the contract: started on free ports of loopback, stopped by their own process id."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pymongo
import pytest
import redis

from gridsession.node.ports import free_ports

_START_SECONDS = 30.0


def missing(what: str) -> None:
    """A real component that is not there: a failure in CI, elsewhere a visible skip."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


def program(name: str, package: str) -> str:
    """The path of a program, or no test without it."""
    path = shutil.which(name)
    if path is None:
        missing(f"{name} is not on PATH: install Debian's package {package}")
    assert path is not None
    return path


def wait_for(condition: Callable[[], bool], what: str, seconds: float = _START_SECONDS) -> None:
    """Return once the condition holds; AssertionError if it does not in time."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, f"did not come within {seconds:g} s: {what}"
        time.sleep(0.02)


class Server:
    """A process of ours on a port of loopback; it can be stopped hard and started again on the same port."""

    def __init__(self, command: list[str], port: int, folder: Path, ready: Callable[[], bool]) -> None:
        self.port = port
        self.folder = folder
        self._command = command
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd=self.folder, stdout=log, stderr=log)
        wait_for(self._answers, f"an answer of {self._command[0]} on port {self.port}; see {self.folder}/log.txt")

    def kill(self) -> None:
        """End it at once, as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"{self._command[0]} ended: see {self.folder}/log.txt"
        return self._ready()


def redis_says(port: int, *words: str) -> str:
    """What a Redis or Sentinel answers to a command, as text; '' if there is no answer."""
    try:
        with redis.Redis(host="127.0.0.1", port=port, socket_timeout=5, decode_responses=True) as client:
            return str(client.execute_command(*words))
    except redis.RedisError:
        return ""


def redis_server(folder: Path, *options: str, port: int | None = None) -> Server:
    """A Redis of our own, not yet started; it keeps an append-only file."""
    number = port or free_ports(1)[0]
    command = [
        program("redis-server", "redis-server"), "--port", str(number), "--bind", "127.0.0.1", "--dir", str(folder),
        "--save", "", "--appendonly", "yes", "--appendfsync", "always", "--daemonize", "no", *options,
    ]  # fmt: skip
    return Server(command, number, folder, lambda: redis_says(number, "PING") == "True")


@contextlib.contextmanager
def running(*servers: Server) -> Iterator[None]:
    """Started here, killed at the end."""
    try:
        for server in servers:
            server.start()
        yield
    finally:
        for server in servers:
            server.kill()


@contextlib.contextmanager
def redis_with_sentinel(folder: Path) -> Iterator[tuple[Server, Server, Server]]:
    """A primary, its replica, and a Sentinel that calls the primary `main`."""
    primary = redis_server(folder / "primary")
    replica = redis_server(folder / "replica", "--replicaof", "127.0.0.1", str(primary.port))
    with running(primary, replica):
        wait_for(lambda: "'master_link_status': 'up'" in redis_says(replica.port, "INFO", "replication"), "a replica")
        (folder / "sentinel").mkdir()
        port = free_ports(1)[0]
        settings = folder / "sentinel" / "sentinel.conf"
        settings.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}/sentinel\nsentinel monitor main 127.0.0.1 {primary.port} 1\n"
            "sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n"
        )
        command = [program("redis-server", "redis-server"), str(settings), "--sentinel"]

        def knows_the_replica() -> bool:
            return str(replica.port) in redis_says(port, "SENTINEL", "REPLICAS", "main")

        sentinel = Server(command, port, folder / "sentinel", knows_the_replica)
        with running(sentinel):
            yield primary, replica, sentinel


@contextlib.contextmanager
def redis_cluster(folder: Path, count: int = 3) -> Iterator[list[Server]]:
    """So many primaries that share the slots."""
    nodes = []
    for number in range(count):
        options = (
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            "2000",
            "--cluster-port",
            str(free_ports(1)[0]),
        )
        nodes.append(redis_server(folder / f"node{number}", *options))
    with running(*nodes):
        hosts = [f"127.0.0.1:{node.port}" for node in nodes]
        redis_cli = program("redis-cli", "redis-tools")
        subprocess.run(
            [redis_cli, "--cluster", "create", *hosts, "--cluster-yes"], check=True, capture_output=True, timeout=60
        )
        wait_for(
            lambda: all("cluster_state:ok" in redis_says(node.port, "CLUSTER", "INFO") for node in nodes),
            "a cluster that is whole",
        )
        yield nodes


def mongo_server(folder: Path) -> Server:
    """A MongoDB of our own, not yet started: a real mongod, or mongo-java-server where there is none."""
    port = free_ports(1)[0]
    mongod = shutil.which("mongod")
    if mongod is not None:
        command = [mongod, "--port", str(port), "--bind_ip", "127.0.0.1", "--dbpath", str(folder)]
    else:
        # One source file, compiled by the JDK as it starts.
        source = Path(__file__).with_name("MongoServer.java")
        command = [program("java", "openjdk-17-jdk-headless"), "-Xmx128m", "-cp", _java_mongo(), str(source), str(port)]
    return Server(command, port, folder, lambda: _mongo_answers(port))


def _java_mongo() -> str:
    """The class path of mongo-java-server, fetched by its Maven coordinates."""
    from jgo.maven import MavenContext

    try:
        maven = MavenContext(timeout=60)
        _, found = maven.resolver.resolve([maven.create_dependency("de.bwaldvogel:mongo-java-server:1.47.0")])
        return os.pathsep.join(str(dependency.artifact.resolve()) for dependency in found)
    except Exception as error:  # jgo promises no error types, not even for "no network"
        missing(f"mongo-java-server cannot be fetched from Maven Central: {type(error).__name__}")
        raise


def _mongo_answers(port: int) -> bool:
    with pymongo.MongoClient("127.0.0.1", port, serverSelectionTimeoutMS=100) as client:
        try:
            return bool(client.admin.command("ping"))
        except pymongo.errors.PyMongoError:
            return False
