"""A record's bytes as the place holds them, lease and queue included, which no command answers.

This reaches into the drivers: a public way to look at a record (`Driver.peek`, say) would replace this file.
"""

from __future__ import annotations

import asyncio
from typing import Final

from gridsession._link import Link
from gridsession.drivers._swap import SwapDriver

_MAP_GET: Final = 0x010200
_PATIENCE: Final = 5.0


async def held(link: Link, session_id: str) -> bytes | None:
    """The bytes under an id, or None. Nothing is written, and no entry counts as used by it.

    Raises:
        NotImplementedError: this driver has no way to tell.
        Unavailable: no answer.
    """
    driver = link.driver
    if isinstance(driver, SwapDriver):
        found = await driver.patiently(lambda: driver.read(link.space, session_id))
        return found.data
    # Not before it is asked for: the driver's package brings the whole client with it.
    from gridsession.drivers.hazelcast import HazelcastDriver, _wire
    from gridsession.drivers.hazelcast._scan import patiently

    if not isinstance(driver, HazelcastDriver):
        raise NotImplementedError
    client = driver._opened()
    key = client.link.keys.get(session_id)
    name = _wire.records_map(link.space).encode()
    message = await patiently(
        client,
        # The 8 bytes are a thread's id, which matters to locks only.
        lambda: _wire.request(_MAP_GET, bytes(8), name, key.data),
        key.partition,
        asyncio.get_running_loop().time() + _PATIENCE,
    )
    return _wire.answer(message)
