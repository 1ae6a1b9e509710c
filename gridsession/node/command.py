"""The command line of a member's JVM, and the guard that ends the JVM with us."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gridsession.node.config import NodeConfig
from gridsession.node.jars import MemberJars
from gridsession.node.java import Java
from gridsession.node.jvm_log import LOG_FORMAT

_MAIN_CLASS: Final = "com.hazelcast.core.server.HazelcastMemberStarter"
_SMALL_HEAP: Final = 512 << 20


def command_line(
    java: Java, config: NodeConfig, configuration: Path, more: Sequence[str], jars: MemberJars
) -> list[str]:
    """What starts a member with the YAML in `configuration`; `more` are options for the JVM."""
    heap = config.heap_bytes
    ipv4 = "false" if config.address.startswith("[") else "true"
    return [
        str(java.executable),
        *java.flags(),
        f"-Xms{heap}",
        f"-Xmx{heap}",
        # Less memory beside a small heap; from 512 MB on it stands still longer: up to 0.7 s with 1 GB where G1 took
        # 0.16 s (tests/bench/pauses.py).
        "-XX:+UseSerialGC" if heap < _SMALL_HEAP else "-XX:+UseG1GC",
        # a member that limps on without memory holds up the whole grid
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",
        "-Dfile.encoding=UTF-8",
        "-Duser.language=en",
        f"-Djava.net.preferIPv4Stack={ipv4}",
        f"-Djava.util.logging.SimpleFormatter.format={LOG_FORMAT}",
        # our tests check member.yaml against the schema; here it would cost a second
        "-Dhazelcast.config.schema.validation.enabled=false",
        f"-Dhazelcast.config={configuration}",
        *more,
        "-classpath",
        jars.class_path(os.pathsep),
        _MAIN_CLASS,
    ]


def guard(pid: int) -> subprocess.Popen[bytes]:
    """A shell that kills `pid` when our end of its standard input closes, which the system does if we are killed."""
    return subprocess.Popen(
        ["/bin/sh", "-c", f"read _; kill -9 {pid}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def dismiss(watching: subprocess.Popen[bytes] | None) -> None:
    """Ends a guard whose JVM has ended."""
    if watching is not None:
        watching.kill()
        watching.wait()
        if watching.stdin is not None:
            watching.stdin.close()
