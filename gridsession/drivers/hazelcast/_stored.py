"""What operators ask beside commands: the bytes of a record as its owner holds them, and which namespaces there are."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Final

from gridsession._identity import Space
from gridsession.drivers.hazelcast import _wire
from gridsession.drivers.hazelcast._client import Client
from gridsession.drivers.hazelcast._scan import patiently
from gridsession.errors import DeadlineExceeded

_MAP_GET: Final = 0x010200
_DISTRIBUTED_OBJECTS: Final = 0x000800
_ANY_OWNER: Final = -1
_ANY_THREAD: Final = bytes(8)
"""The id of the thread that asks, which matters to locks only."""
_MAPS: Final = tuple(_wire.records_map(Space("", kind)) for kind in ("sessions", "globals"))


async def stored(client: Client, space: Space, session_id: str, patience: float) -> bytes | None:
    """As `Driver.stored`."""
    key, name = client.link.keys.get(session_id), _wire.records_map(space).encode()
    message = await patiently(
        client, lambda: _wire.request(_MAP_GET, _ANY_THREAD, name, key.data), key.partition, _due(patience)
    )
    return _wire.answer(message)


async def namespaces(client: Client, patience: float) -> frozenset[str]:
    """As `Driver.namespaces`."""
    try:
        message = await patiently(client, lambda: _wire.request(_DISTRIBUTED_OBJECTS, b""), _ANY_OWNER, _due(patience))
    except DeadlineExceeded:
        raise DeadlineExceeded("the members did not tell their maps by the deadline: try again") from None
    texts = []
    frame = message.start_frame.next
    while frame is not None:
        texts.append(bytes(frame.buf))
        frame = frame.next
    maps = [name.decode() for service, name in pairwise(texts) if service == b"hz:impl:mapService"]
    return frozenset(name.removeprefix(head) for name in maps for head in _MAPS if name.startswith(head))


def _due(patience: float) -> float:
    return asyncio.get_running_loop().time() + patience
