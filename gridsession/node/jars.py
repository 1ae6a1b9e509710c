"""The jars a member runs: where they are, and whether ours is built from the sources beside it.

The build hook (`deploy/member/hatch_build.py`) loads this file by its path, before any dependency is installed: it
imports the standard library only.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import NamedTuple

HAZELCAST_JAR = "hazelcast.jar"
MEMBER_JAR = "gridsession-member.jar"
SOURCES_DIGEST_KEY = "Gridsession-Sources-SHA256"
JARS_DIRECTORY = Path(__file__).resolve().parent.parent / "jars"

_MANIFEST = "META-INF/MANIFEST.MF"


class MemberJars(NamedTuple):
    """The two jars on a member's class path."""

    hazelcast: Path
    member: Path

    def class_path(self, separator: str) -> str:
        """Both jars as a Java class path."""
        return separator.join(map(str, self))


def member_jars(directory: Path = JARS_DIRECTORY) -> MemberJars:
    """The jars in `directory`, whether they exist or not."""
    return MemberJars(directory / HAZELCAST_JAR, directory / MEMBER_JAR)


def source_files(member: Path) -> list[Path]:
    """What our jar is made from below `deploy/member`, in the order in which it is hashed."""
    roots = (member / "src" / "main" / "java", member / "src" / "main" / "resources")
    files = (path for root in roots for path in root.rglob("*") if path.is_file() and not path.name.startswith("."))
    return sorted(files, key=lambda path: path.relative_to(member).as_posix())


def sources_digest(member: Path) -> str:
    """SHA-256 over the paths and contents of `source_files(member)`, in hexadecimal."""
    digest = hashlib.sha256()
    for path in source_files(member):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(member).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def manifest(jar: Path) -> dict[str, str]:
    """Main attributes of a jar's manifest; empty if there is no such jar, or it cannot be read."""
    try:
        with zipfile.ZipFile(jar) as archive:
            text = archive.read(_MANIFEST).decode()
    except (OSError, KeyError, zipfile.BadZipFile):
        return {}
    lines = text.replace("\r\n", "\n").replace("\n ", "").splitlines()
    return dict(line.split(": ", 1) for line in lines if ": " in line)


def checkout_sources(package: Path = JARS_DIRECTORY.parent) -> Path | None:
    """`deploy/member` of the source tree that `package` stands in; None where it is an installed copy."""
    member = package.parent / "deploy" / "member"
    return member if (member / "hatch_build.py").is_file() else None


def staleness(directory: Path = JARS_DIRECTORY, sources: Path | None = None) -> str | None:
    """Why the jars in `directory` must not be run, or None if they may.

    Args:
        directory: where the jars are.
        sources: `deploy/member` to compare with; None where only the jars are installed.
    """
    jars = member_jars(directory)
    missing = [jar.name for jar in jars if not jar.is_file()]
    if missing:
        return f"{' and '.join(missing)} missing in {directory}"
    if sources is not None and manifest(jars.member).get(SOURCES_DIGEST_KEY) != sources_digest(sources):
        return f"{jars.member} was built from other sources than those in {sources}"
    return None
