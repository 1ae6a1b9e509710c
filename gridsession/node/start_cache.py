"""Members start in half the time from what an earlier JVM kept of their classes: Java calls it an AOT cache or archive.

Only `LocalGrid` uses it. A node of a real grid runs nothing out of a user's cache folder, and no second JVM is ever
started beside it.

An archive is code. It is used only if nobody but this user (and root) could have written it, if it is as long as it
was when it was made, and if the JVM finds its checksum right; the JVM itself compares Java's build and the jars. What
makes one is a process of its own, at the lowest priority, which ends by itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from gridsession._logs import logger
from gridsession.errors import GridSessionError
from gridsession.node.command import command_line
from gridsession.node.config import NodeConfig
from gridsession.node.jars import member_jars
from gridsession.node.java import Java, find_java
from gridsession.node.ports import free_ports
from gridsession.node.process import MemberProcess

SWITCH: Final = "GRIDSESSION_START_CACHE"
"""`off` in this variable: nothing is made or used."""
KEPT: Final = 6
"""Archives in the folder, some 30 to 45 MB each: one for each Java and version of gridsession."""
_TRY_AGAIN_AFTER: Final = 3_600.0
_AOT_JAVA: Final = 25
"""From here on an AOT cache is made in one go. Earlier ones add an archive to the one that Java itself comes with."""
_MAKE: Final = "import sys; from gridsession.node.start_cache import make; make(*sys.argv[1:])"

_log = logger("node")


class StartCache:
    """Where the archive is, or will be, for members with one Java and these options, whatever their heaps.

    Args:
        java: what they run on.
        jvm_options: what their JVMs are told beside what each member's is.
        environ: says where the user's cache folder is, and whether this is off.
    """

    def __init__(self, java: Java, jvm_options: Sequence[str], environ: Mapping[str, str] = os.environ) -> None:
        self._java = java
        self._jvm_options = tuple(jvm_options)
        self._folder = _folder(environ)
        self._why = "it is off" if self._folder is None else "there is none yet"
        self._key = ""

    def options(self) -> tuple[str, ...]:
        """What a JVM is told to start from the archive; nothing if there is none, or it is not to be trusted."""
        archive = None
        try:
            archive = self._archive()
        except OSError as error:
            self._why = str(error)
        if archive is None:
            _log.debug("start_cache_unused", reason=self._why)
            return ()
        with contextlib.suppress(OSError):
            # those that nobody uses are forgotten first
            os.utime(archive)
        return _using(self._java, archive)

    def make_later(self) -> None:
        """Has the archive made, if it is missing, by a process that is not waited for; it takes some ten seconds."""
        folder = self._folder
        # in a program that was packed into one file, `sys.executable` is that program
        if folder is None or not sys.executable or getattr(sys, "frozen", False):
            return
        try:
            if self._archive() is not None or self._failed_lately():
                return
            for each in (folder.parent, folder):
                each.mkdir(mode=0o700, exist_ok=True)
            if _others_may_write(folder):
                return
            # the shell leaves it behind at once, so that nobody here has to wait for its end
            subprocess.run(
                ["/bin/sh", "-c", '"$@" &', "sh", sys.executable, "-P", "-c", _MAKE, *self._jvm_options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                check=False,
            )
        except OSError as error:
            _log.debug("start_cache_not_made", reason=str(error))

    def make(self) -> None:
        """Makes the archive, if it is missing and no other process is about to. A failure is remembered for an hour."""
        folder = self._folder
        if folder is None or _others_may_write(folder):
            return
        # who only starts members imports no driver
        from gridsession.drivers._lock import try_lock

        with try_lock(folder / "lock") as locked:
            if not locked or self._archive() is not None:
                return
            _tidy(folder)
            with tempfile.TemporaryDirectory(prefix="making-", dir=folder) as scratch:
                made = Path(scratch, "archive")
                try:
                    self._record(made)
                    _settle(made, folder / f"{self._name()}-{made.stat().st_size}")
                except (GridSessionError, OSError):
                    (folder / f"{self._name()}.failed").touch()

    def _archive(self) -> Path | None:
        folder = self._folder
        if folder is None or not folder.is_dir():
            return None
        if _others_may_write(folder):
            self._why = f"others than this user may write to {folder}, or to a folder above it"
            return None
        for archive in folder.glob(f"{self._name()}-*"):
            if archive.name.endswith(f"-{archive.stat().st_size}"):
                return archive
        return None

    def _failed_lately(self) -> bool:
        marker = Path(self._folder or "", f"{self._name()}.failed")
        return marker.exists() and time.time() - marker.stat().st_mtime < _TRY_AGAIN_AFTER

    def _name(self) -> str:
        """Tells apart all that an archive depends on."""
        if not self._key:
            jars = member_jars()
            command = command_line(self._java, NodeConfig(), Path(), self._jvm_options, jars)
            files = [(path, path.stat()) for path in (self._java.executable.resolve(), *jars)]
            facts = [
                self._java.version,
                [option for option in command if not option.startswith(("-Xms", "-Xmx"))],
                [(str(path), found.st_size, int(found.st_mtime)) for path, found in files],
            ]
            self._key = hashlib.sha256(repr(facts).encode()).hexdigest()[:32]
        return self._key

    def _record(self, archive: Path) -> None:
        """Lets a member that joins another record what it loads, and one more start from that.

        Raises:
            MemberFailed: one of them did not start; the last would not from an archive that is no good.
            OSError: there is no archive.
        """
        ports, cluster = free_ports(3), f"start-cache-{secrets.token_hex(8)}"
        join = tuple(f"127.0.0.1:{port}" for port in ports)
        first, recording, starting = (
            MemberProcess(
                NodeConfig(port=port, join=join, members_declared=3, cluster_name=cluster, memory="96m", cores=1),
                java=self._java,
                jvm_options=(*self._jvm_options, *more),
                on_event=lambda _: None,
            )
            for port, more in zip(
                ports, ((), _recording(self._java, archive), _insisting(self._java, archive)), strict=True
            )
        )
        try:
            first.start(founding=True)
            first.wait_ready()
            recording.start()
            recording.wait_ready(members=2)
            recording.stop()
            archive.stat()
            starting.start()
            starting.wait_ready(members=2)
        finally:
            for each in (first, recording, starting):
                each.kill()


def make(*jvm_options: str) -> None:
    """Makes the archive for members with these options on the Java that is found; for a process of its own."""
    os.nice(19)
    StartCache(find_java(), jvm_options).make()


def _folder(environ: Mapping[str, str]) -> Path | None:
    if environ.get(SWITCH, "").lower() in {"off", "0", "false", "no"}:
        return None
    base = Path(environ.get("XDG_CACHE_HOME", ""))
    try:
        if not base.is_absolute():
            base = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
        return base.resolve() / "gridsession"
    except (OSError, RuntimeError):
        # somebody without a home
        return None


def _others_may_write(folder: Path) -> bool:
    """Whether anybody but this user and root may change what is in a folder; its path has no links in it."""
    us = {0, os.geteuid()}
    for each in (folder, *folder.parents):
        found = each.lstat()
        # in a sticky folder, as /tmp is, nobody replaces what is another's
        shared = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and (each == folder or not found.st_mode & stat.S_ISVTX)
        if found.st_uid not in us or shared or not stat.S_ISDIR(found.st_mode):
            return True
    return False


def _recording(java: Java, archive: Path) -> tuple[str, ...]:
    return (f"-XX:{'AOTCacheOutput' if java.version >= _AOT_JAVA else 'ArchiveClassesAtExit'}={archive}",)


def _using(java: Java, archive: Path) -> tuple[str, ...]:
    """A JVM that cannot use the archive starts without it, silently; checksums find what a disk spoiled."""
    if java.version >= _AOT_JAVA:
        return f"-XX:AOTCache={archive}", "-XX:+VerifySharedSpaces", "-Xlog:aot*=off", "-Xlog:cds*=off"
    return f"-XX:SharedArchiveFile={archive}", "-Xshare:auto", "-XX:+VerifySharedSpaces", "-Xlog:cds*=off"


def _insisting(java: Java, archive: Path) -> tuple[str, ...]:
    """A JVM that cannot use the archive does not start."""
    return (*_using(java, archive), "-XX:AOTMode=on" if java.version >= _AOT_JAVA else "-Xshare:on")


def _settle(made: Path, place: Path) -> None:
    """Puts the file where it is looked for, whole and on the disk."""
    made.chmod(0o600)
    with made.open("rb+") as file:
        os.fsync(file.fileno())
    made.replace(place)


def _tidy(folder: Path) -> None:
    """Removes what nobody used for the longest time, and what a process left that was killed while it made one."""
    for left in folder.glob("making-*"):
        shutil.rmtree(left, ignore_errors=True)
    files = [path for path in folder.iterdir() if path.name != "lock"]
    for old in sorted(files, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT - 1 :]:
        old.unlink()
