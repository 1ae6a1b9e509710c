"""Which namespaces a place holds. No driver tells: this reaches into those two that can."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import unquote

from gridsession import SessionStore
from gridsession.cli._grid import client_of, maps_of
from gridsession.drivers.file import FileDriver
from gridsession.drivers.hazelcast._client import Client
from gridsession.errors import InvalidOption

_MAPS: Final = ("gridsession.sessions.", "gridsession.globals-records.")
_PATIENCE: Final = 5.0


async def namespaces_of(store: SessionStore) -> list[str]:
    """The namespaces with sessions or globals at a store's place, in order.

    Raises:
        InvalidOption: the place does not tell, or has none.
    """
    driver = store._links[0].driver
    if isinstance(driver, FileDriver):
        found = await asyncio.to_thread(_of_files, driver)
    elif (client := client_of(store)) is not None:
        found = await _of_grid(client)
    else:
        raise InvalidOption("this place does not tell its namespaces: name them with --namespace")
    if not found:
        raise InvalidOption("there are no namespaces at this place")
    return sorted(found)


async def _of_grid(client: Client) -> set[str]:
    maps = await maps_of(client.link, asyncio.get_running_loop().time() + _PATIENCE)
    return {name.removeprefix(prefix) for name in maps for prefix in _MAPS if name.startswith(prefix)}


def _of_files(driver: FileDriver) -> set[str]:
    folders = (driver._directory / kind for kind in ("sessions", "globals"))
    return {unquote(found.name) for folder in folders if folder.is_dir() for found in folder.iterdir()}
