"""Where sessions live while the lab harms it: a grid of members, or Redis with Sentinel, one host for each server."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

from tests.faults import jars
from tests.faults.copies import Copy, read
from tests.faults.host import Host
from tests.faults.net import Network

_DRAIN_SECONDS: Final = 60.0
_PORT: Final = 5701
_HTTP: Final = 8080
# A JVM that is started under load every few seconds: it starts in half the time.
_QUICK_START: Final = "-XX:TieredStopAtLevel=1"
_DISK: Final = "8m"
_TELL_SECONDS: Final = 5.0


class Place(ABC):
    """Servers, one on each host.

    Args:
        network: its hosts are already there.
        names: of the hosts that servers run on.
        logs: folder for logs.
        folder: for scratch files; nobody else's, gone with the run.
        tree: the state of our package that runs.
    """

    able: ClassVar[frozenset[str]] = frozenset()
    """What only some places can have done to them: `clock`, `heap`, `jar`, `disk`."""

    def __init__(self, network: Network, names: Sequence[str], logs: Path, folder: Path, tree: Path) -> None:
        self.network, self.tree = network, tree
        self.hosts = [Host(network, name, logs) for name in names]
        self.folder = folder

    @property
    @abstractmethod
    def url(self) -> str:
        """What `SessionStore.open` takes."""

    @property
    @abstractmethod
    def questions(self) -> list[str]:
        """Arguments by which `_whole` finds out whether all servers work together."""

    @abstractmethod
    def start(self) -> None:
        """Starts all servers."""

    def copies(self) -> list[Copy]:
        """What copies servers have, as far as they tell."""
        return []

    def restart(self, number: int) -> None:
        """Starts a server that was ended, as it was."""
        self.hosts[number].again()

    def stop(self, number: int) -> bool:
        """Ends a server as operators do; whether it ended by itself in time."""
        return self.hosts[number].stop(_DRAIN_SECONDS + 15.0)

    def close(self) -> None:
        """Ends all servers at once."""
        for host in self.hosts:
            host.kill()


class Grid(Place):
    """Members, run by `gridsession node` as users run them.

    Args:
        heap: of each member's JVM.
        eater: with the agent that can use a heap up.
    """

    able = frozenset({"clock", "heap", "jar", "disk", "drain"})

    def __init__(
        self, network: Network, names: Sequence[str], logs: Path, folder: Path, tree: Path, *, heap: str, eater: bool
    ) -> None:
        super().__init__(network, names, logs, folder, tree)
        self._heap = heap
        self._cluster = f"lab-{secrets.token_hex(8)}"
        self._agents = jars.agents(folder)
        self._eater = eater
        self._asked = 0
        self._clock: Path | None = None
        self._packages: dict[str, Path] = {}

    @property
    def url(self) -> str:
        """All members."""
        return f"hazelcast://{','.join(f'{host.address}:{_PORT}' for host in self.hosts)}/{self._cluster}"

    @property
    def questions(self) -> list[str]:
        """Each member tells how many it sees."""
        return [word for host in self.hosts for word in ("--ready", f"{host.address}:{_HTTP}")]

    def start(self) -> None:
        """All at once, as an orchestrator may; each with a data folder of little room."""
        for number in range(len(self.hosts)):
            disk = self.disk(number)
            disk.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "tmpfs", str(disk)], check=True)
            self.run(number)

    def run(self, number: int, *, clock_off_ms: int = 0, package: str | None = None) -> None:
        """Starts a member.

        Args:
            number: which.
            clock_off_ms: how wrong its host's clock is.
            package: `without-jar` or `older-jar` in place of the product's own.
        """
        host = self.hosts[number]
        more = [_QUICK_START, f"-javaagent:{self._agents['CopyTeller']}={self._question(number)}"]
        if self._eater:
            more.append(f"-javaagent:{self._agents['HeapEater']}={self.trigger(number)}")
        environment = {"JAVA_TOOL_OPTIONS": " ".join(more), "TMPDIR": str(self.disk(number))}
        if clock_off_ms:
            self._clock = self._clock or jars.wrong_clock(self.folder)
            environment |= {"LD_PRELOAD": str(self._clock), "CLOCK_OFF_MS": str(clock_off_ms)}
        environment["PYTHONPATH"] = str(self.tree if package is None else self._package(package))
        addresses = [f"{each.address}:{_PORT}" for each in self.hosts]
        command = [
            _gridsession(), "node", "--bind", host.address, "--port", str(_PORT),
            "--join", ",".join(addresses), "--members-declared", str(len(self.hosts)),
            "--cluster-name", self._cluster, "--memory", self._heap, "--http", f"{host.address}:{_HTTP}",
            "--data-dir", str(self.disk(number)), "--drain-timeout", str(_DRAIN_SECONDS),
        ]  # fmt: skip
        host.run(command, environment=environment)

    def copies(self) -> list[Copy]:
        """What copies members have, as far as they tell; nothing of one that has just ended."""
        self._asked += 1
        question = f"question {self._asked}"
        for number in range(len(self.hosts)):
            draft = self._question(number).with_suffix(".ask")
            draft.write_text(question)
            draft.replace(self._question(number))
        ends = time.monotonic() + _TELL_SECONDS
        found: list[Copy] = []
        for number, host in enumerate(self.hosts):
            told = self._question(number).with_name(f"copies{number}.told")
            while not (told.exists() and (text := told.read_text()).startswith(f"{question}\n")):
                if time.monotonic() > ends:
                    break
                time.sleep(0.02)
            else:
                found += read(host.name, text)
        return found

    def _question(self, number: int) -> Path:
        return self.folder / f"copies{number}"

    def disk(self, number: int) -> Path:
        """The folder that a member writes to."""
        return self.folder / f"disk{number}"

    def trigger(self, number: int) -> Path:
        """The file whose appearance makes a member run out of memory."""
        return self.folder / f"eat{number}"

    def restart(self, number: int) -> None:
        """As the product's own member, whatever ran there last."""
        self.run(number)

    def _package(self, name: str) -> Path:
        if name not in self._packages:
            make = {"without-jar": jars.package_without_jar, "older-jar": jars.package_with_older_jar}[name]
            self._packages[name] = make(self.tree, self.folder)
        return self._packages[name]


class RedisSentinel(Place):
    """Redis as its documentation says: a primary, two or more replicas, a Sentinel on each host; 5 s until it acts.

    Args:
        wait_replicas: so many replicas confirm each change.
    """

    def __init__(
        self, network: Network, names: Sequence[str], logs: Path, folder: Path, tree: Path, *, wait_replicas: int
    ) -> None:
        super().__init__(network, names, logs, folder, tree)
        self._wait_replicas = wait_replicas
        if missing := [name for name in ("redis-server", "redis-cli") if shutil.which(name) is None]:
            raise RuntimeError(f"{' and '.join(missing)} not on PATH: install Debian's package redis-server")

    @property
    def url(self) -> str:
        """All Sentinels."""
        hosts = ",".join(f"{host.address}:26379" for host in self.hosts)
        return f"redis+sentinel://{hosts}/main" + (
            f"?wait_replicas={self._wait_replicas}" if self._wait_replicas else ""
        )

    @property
    def questions(self) -> list[str]:
        """Each Redis tells its role and replicas."""
        return [word for host in self.hosts for word in ("--redis", f"{host.address}:6379")]

    def start(self) -> None:
        """The first is the primary."""
        primary = self.hosts[0].address
        for number, host in enumerate(self.hosts):
            folder = self.folder / f"redis{number}"
            folder.mkdir()
            settings, sentinel = folder / "redis.conf", folder / "sentinel.conf"
            lines = [f"dir {folder}", f"bind {host.address}", "port 6379", "protected-mode no", "appendonly yes"]
            lines += ["appendfsync everysec", *([f"replicaof {primary} 6379"] if number else [])]
            settings.write_text("\n".join(lines) + "\n")
            sentinel.write_text(
                f"dir {folder}\nbind {host.address}\nport 26379\nprotected-mode no\n"
                f"sentinel monitor main {primary} 6379 {len(self.hosts) // 2 + 1}\n"
                "sentinel down-after-milliseconds main 5000\nsentinel failover-timeout main 10000\n"
            )
            # Sentinel and Redis rewrite their files themselves, so that a restarted one knows its role.
            host.run(["redis-server", str(settings)], ["redis-server", str(sentinel), "--sentinel"])


def _gridsession() -> str:
    """The product's own command, of the environment that runs the lab."""
    beside = Path(sys.executable).with_name("gridsession")
    found = str(beside) if beside.exists() else shutil.which("gridsession")
    if found is None:
        raise RuntimeError("the command gridsession is not there: pip install -e .[test]")
    return found
