"""Runs that are led by coverage, each in a process of its own: atheris for the Python decoders, Jazzer for Java.

`python -m tests.fuzz._guided TARGET SECONDS SEED FOLDER` is one run of atheris, which ends its process by itself.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.fuzz._java import HERE, Compiled, build_hook

_JAZZER: Final = ("com.code-intelligence", "jazzer", "0.24.0")
_JAZZER_API: Final = ("com.code-intelligence", "jazzer-api", "0.24.0")

_SEED: Final = 4_096
"""A seed beyond it slows down all that comes of it."""


class Run(NamedTuple):
    """What one run came to: how many inputs were tried, and what it found, if anything (a tail of what it said)."""

    name: str
    inputs: int
    fault: str | None


def atheris(target: str, seconds: int, seed: int, corpus: Path) -> Run:
    """Fuzz one of the Python decoders for so long."""
    folder = _filled(corpus / target, target)
    command = [sys.executable, "-m", "tests.fuzz._guided", target, str(seconds), str(seed), str(folder)]
    return _ran(f"atheris {target}", command, HERE.parents[1])


def jazzer(classes: Compiled, seconds: int, seed: int, corpus: Path) -> Run:
    """Fuzz the Java rules for so long."""
    folder = _filled(corpus / "java", "rules")
    jars = [str(_fetched(*name)) for name in (_JAZZER, _JAZZER_API)]
    command = [
        *(str(classes.java), "-Xmx512m", "-cp", ":".join([*jars, classes.classpath])),
        "com.code_intelligence.jazzer.Jazzer",
        "--target_class=com.gridsession.member.RulesTarget",
        "--instrumentation_includes=com.gridsession.member.**",
        "--custom_hook_includes=com.gridsession.member.**",
        *_options(seconds, seed, folder),
    ]
    return _ran("jazzer rules", command, folder.parent)


def _options(seconds: int, seed: int, folder: Path) -> Sequence[str]:
    # libFuzzer's own.
    limits = (f"-max_len={2 * _SEED}", "-rss_limit_mb=2048", "-timeout=10", "-print_final_stats=1")
    return (*limits, f"-max_total_time={seconds}", f"-seed={seed}", f"-artifact_prefix={folder.parent}/", str(folder))


def _filled(folder: Path, target: str) -> Path:
    from tests.fuzz._targets import TARGETS

    folder.mkdir(parents=True, exist_ok=True)
    for index, data in enumerate(TARGETS[target].seeds()):
        if len(data) <= _SEED:
            (folder / f"seed-{index}").write_bytes(data)
    return folder


def _fetched(group: str, name: str, version: str) -> Path:
    build = build_hook()
    found: Path = build.resolve(build.Artifact(group, name, version, ""), None)
    return found


def _ran(name: str, command: Sequence[str], folder: Path) -> Run:
    ended = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    said = ended.stdout + ended.stderr
    counted = re.search(r"number_of_executed_units: (\d+)", said)
    inputs = int(counted[1]) if counted else 0
    fault = None if ended.returncode == 0 and inputs else f"ended with {ended.returncode}\n{said[-4_000:]}"
    return Run(name, inputs, fault)


def main(name: str, seconds: str, seed: str, folder: str) -> None:
    """One run of atheris in this process."""
    import atheris  # type: ignore[import-not-found]  # an extra of its own

    with atheris.instrument_imports(include=["gridsession"]):
        from tests.fuzz._targets import TARGETS

    atheris.Setup([sys.argv[0], *_options(int(seconds), int(seed), Path(folder))], TARGETS[name].run)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
