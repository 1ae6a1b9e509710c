"""What runs: a snapshot of our package, the same with other jars, agents of members, a wrong clock."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Final

import gridsession
from gridsession.node.jars import MEMBER_JAR, checkout_sources, member_jars, staleness

_HERE: Final = Path(__file__).parent
_BUILD_HOOK: Final = _HERE.parents[1] / "deploy" / "member" / "hatch_build.py"
_OLDER_SOURCES: Final = "0" * 64


def snapshot(folder: Path) -> Path:
    """A copy of the package and of the lab, jars included, so that one run is one state of a tree that is being edited.

    Returns what to put on PYTHONPATH.

    Raises:
        RuntimeError: the jars were built from other sources than those beside them.
    """
    source = Path(gridsession.__file__).parent
    tree = folder / "tree"
    skipped = shutil.ignore_patterns("__pycache__")
    shutil.copytree(source, tree / "gridsession", ignore=skipped)
    shutil.copytree(_HERE, tree / "tests" / "faults", ignore=skipped)
    # after the copy, which takes a moment
    if fault := staleness(tree / "gridsession" / "jars", checkout_sources(source)):
        raise RuntimeError(f"{fault}: run python deploy/member/hatch_build.py")
    return tree


def agents(folder: Path) -> dict[str, Path]:
    """Compiles the agents of members' JVMs; returns their jars by class (`-javaagent:JAR=FILE`, see native/)."""
    hook = build_hook()
    with tempfile.TemporaryDirectory() as scratch:
        compiler, classes = Path(scratch) / "ecj.jar", Path(scratch) / "classes"
        compiler.write_bytes(hook.fetch(hook.COMPILER))
        hook.compile_sources(_HERE / "native", compiler, member_jars().hazelcast, classes)
        jars = {source.stem: folder / f"{source.stem}.jar" for source in (_HERE / "native").glob("*.java")}
        for name, jar in jars.items():
            jar.write_bytes(hook.packed(classes, {"Premain-Class": name}))
    return jars


def wrong_clock(folder: Path) -> Path:
    """Compiles the library that sets a process's clock off by `CLOCK_OFF_MS`; to be preloaded."""
    library = folder / "clock.so"
    source = _HERE / "native" / "clock.c"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return library


def package_without_jar(tree: Path, folder: Path) -> Path:
    """A copy of the package in `tree` whose members have none of our classes and are configured without them.

    Such a member joins: that it cannot run our commands shows when it gets one. Returns what to put on PYTHONPATH.
    """

    def strip(yaml: str) -> str:
        kept = yaml.partition("\n  listeners:")[0] + "\n"
        return kept.replace("com.gridsession.member.WholeRecordMergePolicy", "PutIfAbsentMergePolicy")

    return _package(tree, folder / "without-jar", {}, strip)


def package_with_older_jar(tree: Path, folder: Path) -> Path:
    """A copy of the package in `tree` whose members run our classes under the name of an older build."""
    original = member_jars(tree / "gridsession" / "jars").member
    with zipfile.ZipFile(original) as jar:
        contents = {name: jar.read(name) for name in jar.namelist()}
    manifest = contents["META-INF/MANIFEST.MF"].decode().splitlines()
    contents["META-INF/MANIFEST.MF"] = _older(manifest)
    return _package(tree, folder / "older-jar", contents, lambda yaml: yaml)


def _older(manifest: list[str]) -> bytes:
    kept = [line for line in manifest if line and not line.startswith((" ", "Gridsession-Sources", "Implementation-V"))]
    # a line of a manifest holds 72 bytes at most
    digest = f"Gridsession-Sources-SHA256: {_OLDER_SOURCES}"
    lines = [*kept, "Implementation-Version: 0.0.9", digest[:70], f" {digest[70:]}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _package(tree: Path, folder: Path, jar: dict[str, bytes], configuration: Callable[[str], str]) -> Path:
    target = folder / "gridsession"
    shutil.copytree(tree / "gridsession", target, ignore=shutil.ignore_patterns("jars", "__pycache__"))
    jars = target / "jars"
    jars.mkdir()
    (jars / "hazelcast.jar").symlink_to(member_jars(tree / "gridsession" / "jars").hazelcast)
    with zipfile.ZipFile(jars / MEMBER_JAR, "w") as archive:
        for name, content in (jar or {"META-INF/MANIFEST.MF": b"Manifest-Version: 1.0\r\n\r\n"}).items():
            archive.writestr(name, content)
    template = target / "node" / "member.yaml"
    template.write_text(configuration(template.read_text(encoding="utf-8")), encoding="utf-8")
    return folder


def build_hook() -> ModuleType:
    """The build hook's module: it fetches the compiler, compiles and packs."""
    spec = importlib.util.spec_from_file_location("_gridsession_build_hook", _BUILD_HOOK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
