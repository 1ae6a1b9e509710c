"""The four managers that JAWCE lists as its defaults, by their names: each is one driver."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from urllib.parse import quote

from gridsession.dialects.jawce._blocking import SessionManager
from gridsession.policy import Duration

_HALF_A_DAY: Final = 12 * 60 * 60


class FileBasedSessionManager(SessionManager):
    """Sessions in files, shared by the processes of one host.

    Args:
        directory: made if it is not there.
        user_ttl, global_ttl: as for `SessionManager`; JAWCE's files never expire.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] = "./file-session",
        *,
        user_ttl: Duration | None = None,
        global_ttl: Duration | None = None,
    ) -> None:
        super().__init__(_url("file", directory), user_ttl=user_ttl, global_ttl=global_ttl)


class LMDBSessionManager(SessionManager):
    """Sessions in an LMDB file, shared by the processes of one host. Needs the extra `gridsession[lmdb]`.

    Args:
        path: the directory of the file, made if it is not there.
        user_ttl, global_ttl: as for `SessionManager`; JAWCE's never expire.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] = "./lmdb-session",
        *,
        user_ttl: Duration | None = None,
        global_ttl: Duration | None = None,
    ) -> None:
        super().__init__(_url("lmdb", path), user_ttl=user_ttl, global_ttl=global_ttl)


class CaffeineSessionManager(SessionManager):
    """Sessions in this process's memory, bounded in number by W-TinyLFU, as in Caffeine. Needs `gridsession[tinylfu]`.

    Args:
        max_size: how many sessions, and how many globals.
        user_ttl: as for `SessionManager`; pywce's cache kept ten minutes.
        global_ttl: likewise; JAWCE's Caffeine kept half a day.
    """

    def __init__(
        self,
        max_size: int = 1000,
        user_ttl: Duration | None = 600,
        global_ttl: Duration | None = _HALF_A_DAY,
    ) -> None:
        super().__init__(f"memory://?max_size={max_size}&eviction=tinylfu", user_ttl=user_ttl, global_ttl=global_ttl)


class HazelcastSessionManager(SessionManager):
    """Sessions in the grid, shared by all processes on all machines.

    Args:
        url: `hazelcast://host:5701,host:5701/cluster`.
        user_ttl, global_ttl, namespace: as for `SessionManager`.
    """

    def __init__(
        self,
        url: str,
        *,
        user_ttl: Duration | None = None,
        global_ttl: Duration | None = None,
        namespace: str | None = None,
    ) -> None:
        super().__init__(url, user_ttl=user_ttl, global_ttl=global_ttl, namespace=namespace)


def _url(scheme: str, directory: str | os.PathLike[str]) -> str:
    return f"{scheme}://{quote(Path(directory).absolute().as_posix())}"
