"""`python -m tests.grid.claiming URL NAMESPACE FILE CLAIM`: a process that handles expired sessions until it is killed.

Each line of FILE is one write, made before anything else is done, so that the end of the process loses none: `ready`,
`D <id> <ms of its end> <seconds late> <attempt>` when a session is handed over, `A <id>` when this process has
acknowledged it.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

from gridsession import ExpiredSession, SessionStore


async def claim(url: str, namespace: str, path: str, claim: float) -> None:
    """Handle expired sessions for ever."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    store = SessionStore.open(url, namespace=namespace)

    async def told(expired: ExpiredSession) -> None:
        due = expired.expired_at.timestamp()
        os.write(file, f"D {expired.id} {due * 1000:.0f} {time.time() - due:.3f} {expired.attempt}\n".encode())
        if await expired.acknowledge():
            os.write(file, f"A {expired.id}\n".encode())

    store.on_expire(told, claim=claim)
    async with store:
        os.write(file, b"ready\n")
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(claim(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])))
