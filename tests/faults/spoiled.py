"""Members and clients that lost one property each: the product's sources, changed in one place and compiled for a test.

Only a run's own snapshot of the package is changed (`python -m tests.faults --spoiled NAME`): the product has no such
switch. A change whose place is not found any more fails, so that this keeps up with the sources.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from gridsession.node.jars import SOURCES_DIGEST_KEY, manifest, member_jars
from tests.faults.jars import build_hook

_SOURCES: Final = Path(__file__).parents[2] / "deploy" / "member" / "src" / "main"
_JAVA: Final = Path("java/com/gridsession/member")
JAVA_SOURCES: Final = _SOURCES / _JAVA
_EXECUTE: Final = "drivers/hazelcast/_execute.py"
_NO_COPY: Final = (
    "GridProcessor.java",
    "        return backup;\n",
    "        return Math.random() < 0.05 ? null : backup;\n",
)
"""One of twenty changes never reaches its copy, as in the moment when an owner is cut off."""


class Change(NamedTuple):
    """Text of a source file, and what stands there instead."""

    file: str
    old: str
    new: str


class Spoiled(NamedTuple):
    """What is wrong, and what must show it.

    Attributes:
        java, python: changes of the member's sources and of the client's.
        faults: that bring it to light.
        workloads: whose sessions show it.
        caught_by: invariants of which each must be violated.
        deadline: seconds a call may take.
        copies_differ: the lab sees it in the copies themselves, too.
    """

    java: tuple[Change, ...]
    python: tuple[Change, ...]
    faults: str
    workloads: str
    caught_by: frozenset[str]
    deadline: float = 10.0
    copies_differ: bool = False


SPOILED: Final = {
    # The client takes an answer for definite that no copy confirmed.
    "ack-without-backup": Spoiled(
        (Change(*_NO_COPY),),
        (Change(_EXECUTE, "acks < client.sync_backups", "acks < 0"),),
        "kill,kill",
        "append,increment",
        frozenset({"I1"}),
        copies_differ=True,
    ),
    # A command that is known already is answered, and confirmed by a copy that is told nothing.
    "dedupe-without-shipping": Spoiled(
        (
            Change(*_NO_COPY),
            Change(
                "GridProcessor.java",
                "if (applied.written() || applied.duplicate()) {",
                "if (applied.duplicate()) {\n            return new ResultBackup();\n        }\n"
                "        if (applied.written()) {",
            ),
        ),
        (),
        "kill,kill",
        "append,increment",
        frozenset({"I1"}),
        copies_differ=True,
    ),
    # After a split, what a member that was cut off still holds wins over what was deleted or changed meanwhile.
    "merge-resurrects": Spoiled(
        (
            Change(
                "WholeRecordMergePolicy.java",
                "if (member.majority().kept(sender()) || !isHigher(merging, existing)) {",
                "if (System.nanoTime() == 0) {",
            ),
        ),
        (),
        "partition,partition,partition,partition",
        "recreate",
        frozenset({"I11"}),
    ),
    # An owner that is cut off answers what changes nothing there, and the client believes it.
    "isolated-answers": Spoiled(
        (
            Change(
                "GridProcessor.java",
                "if (!Command.isConfirmed(command)) {",
                "if (!applied.written()) {",
            ),
        ),
        (
            Change(
                _EXECUTE,
                "if data is None or (self._confirmed and acks < client.sync_backups):",
                "if data is None or (self._confirmed and acks < client.sync_backups\n"
                "                and decode_reply(_wire.bytes_value(data), expected_id=key.text).status is Status.OK):",
            ),
        ),
        "partition,partition,partition,partition",
        "revision,cas",
        frozenset({"I8"}),
        # What was begun on the wrong side is not taken to its end on the other one.
        deadline=2.0,
    ),
}


def spoil(tree: Path, name: str) -> None:
    """Change a snapshot of the package: its jar and its Python.

    Args:
        tree: what stands on PYTHONPATH; `gridsession` in it is changed.

    Raises:
        ValueError: a place to change is not there, or more than once.
    """
    spoiled = SPOILED[name]
    for change in spoiled.python:
        _change(tree / "gridsession" / change.file, change)
    if not spoiled.java:
        return
    hook, jars = build_hook(), member_jars(tree / "gridsession" / "jars")
    with tempfile.TemporaryDirectory() as scratch:
        sources, classes, compiler = (Path(scratch) / name for name in ("main", "classes", "ecj.jar"))
        shutil.copytree(_SOURCES, sources)
        for change in spoiled.java:
            _change(sources / _JAVA / change.file, change)
        compiler.write_bytes(hook.fetch(hook.COMPILER))
        hook.compile_sources(sources / "java", compiler, jars.hazelcast, classes)
        shutil.copytree(sources / "resources", classes, dirs_exist_ok=True)
        # The name of the product's own build: clients refuse members of another one.
        known = manifest(jars.member)
        kept = {key: known[key] for key in ("Implementation-Version", SOURCES_DIGEST_KEY)}
        hook.replace_file(jars.member, hook.packed(classes, kept))


def _change(path: Path, change: Change) -> None:
    text = path.read_text(encoding="utf-8")
    if text.count(change.old) != 1:
        raise ValueError(f"{change.file} holds {change.old!r} {text.count(change.old)} times, not once")
    path.write_text(text.replace(change.old, change.new), encoding="utf-8")
