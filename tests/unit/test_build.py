"""The build hook: pinned artifacts, and a jar whose bytes depend on its sources alone."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from gridsession.node import jars

ROOT = Path(__file__).resolve().parents[2]
MEMBER = ROOT / "deploy" / "member"


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("_hatch_build", MEMBER / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def classes(folder: Path, names: list[str], mtime: int) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 100)
        os.utime(path, (mtime, mtime))
    return folder


def test_the_jar_does_not_depend_on_time_or_order(hook: ModuleType, tmp_path: Path) -> None:
    names = ["com/a/B.class", "com/a/A.class", "META-INF/services/x"]
    attributes = {"Implementation-Version": "0.1.0", jars.SOURCES_DIGEST_KEY: "0" * 64}
    one = hook.packed(classes(tmp_path / "one", names, 1_000_000_000), attributes)
    other = hook.packed(classes(tmp_path / "other", names[::-1], 1_700_000_000), dict(reversed(attributes.items())))
    assert one == other
    (tmp_path / "jar").write_bytes(one)
    assert attributes.items() <= jars.manifest(tmp_path / "jar").items()


def test_no_line_of_a_manifest_is_longer_than_java_allows(hook: ModuleType) -> None:
    lines = hook.manifest({"Name": "x" * 300}).split(b"\r\n")
    assert max(map(len, lines)) <= 72


def test_the_digest_sees_names_and_contents(tmp_path: Path) -> None:
    sources = tmp_path / "src" / "main" / "java"
    sources.mkdir(parents=True)
    (sources / "A.java").write_text("class A {}")
    before = jars.sources_digest(tmp_path)
    (sources / ".A.java.swp").write_text("an editor's file")
    assert jars.sources_digest(tmp_path) == before
    (sources / "A.java").rename(sources / "B.java")
    renamed = jars.sources_digest(tmp_path)
    (sources / "B.java").write_text("class B {}")
    assert len({before, renamed, jars.sources_digest(tmp_path)}) == 3


def test_another_file_than_the_pinned_one_fails_the_build(
    hook: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forged = tmp_path / "ecj.jar"
    forged.write_bytes(b"not the compiler")
    monkeypatch.setattr(hook, "resolve", lambda artifact, cache: forged)
    with pytest.raises(hook.BuildError, match=r"org\.eclipse\.jdt:ecj:.*does not have the pinned SHA-256"):
        hook.fetch(hook.COMPILER)


def test_a_damaged_cache_is_passed_by(hook: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    half, whole = tmp_path / "half", tmp_path / "whole"
    half.write_bytes(b"ha")
    whole.write_bytes(b"whole")
    artifact = hook.COMPILER._replace(sha256=hashlib.sha256(b"whole").hexdigest())
    monkeypatch.setattr(hook, "resolve", lambda artifact, cache: half if cache is None else whole)
    assert hook.fetch(artifact) == b"whole"


def test_no_network_is_said_with_the_coordinates(hook: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(artifact: object, cache: object) -> Path:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(hook, "resolve", unreachable)
    with pytest.raises(hook.BuildError, match=r"cannot get com\.hazelcast:hazelcast:5\.7\.0.*no route to host"):
        hook.fetch(hook.HAZELCAST)


def test_building_again_gives_the_same_bytes(hook: ModuleType, tmp_path: Path) -> None:
    """And a jar that is current is left alone: no compiler runs."""
    built = jars.member_jars(ROOT / "gridsession" / "jars")
    copy = tmp_path / "elsewhere"
    shutil.copytree(MEMBER / "src", copy / "deploy" / "member" / "src")
    shutil.copytree(ROOT / "gridsession" / "node", copy / "gridsession" / "node")
    target = jars.member_jars(copy / "gridsession" / "jars")
    target.hazelcast.parent.mkdir()
    shutil.copy(built.hazelcast, target.hazelcast)
    hook.build_jars(copy, "0.1.0")
    assert target.member.read_bytes() == built.member.read_bytes()
    before = target.member.stat().st_mtime_ns
    hook.build_jars(copy, "0.1.0")
    assert target.member.stat().st_mtime_ns == before


def test_a_jar_of_other_sources_is_called_stale(tmp_path: Path) -> None:
    directory = tmp_path / "jars"
    assert re.search(r"hazelcast\.jar and gridsession-member\.jar missing", jars.staleness(directory) or "")
    shutil.copytree(ROOT / "gridsession" / "jars", directory)
    assert jars.staleness(directory, MEMBER) is None
    shutil.copytree(MEMBER / "src", tmp_path / "src")
    (tmp_path / "src" / "main" / "java" / "Extra.java").write_text("class Extra {}")
    assert "built from other sources" in (jars.staleness(directory, tmp_path) or "")


def test_pom_and_hook_name_the_same_hazelcast(hook: ModuleType) -> None:
    pom = (MEMBER / "pom.xml").read_text(encoding="utf-8")
    assert f"<hazelcast.version>{hook.HAZELCAST.version}</hazelcast.version>" in pom
