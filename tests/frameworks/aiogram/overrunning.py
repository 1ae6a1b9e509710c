"""A process whose handler takes its time. Arguments: URL, namespace, seconds of lease. It says what became of it."""

from __future__ import annotations

import asyncio
import sys

from aiogram.fsm.storage.base import StorageKey

from gridsession import SessionStore
from gridsession.dialects.aiogram import GridStorage
from gridsession.errors import GridSessionError


def say(what: str) -> None:
    """One line for whoever listens."""
    sys.stdout.write(what + "\n")
    sys.stdout.flush()


async def main(url: str, namespace: str, lease: float) -> str:
    """Hold the conversation until a line comes, then write."""
    key = StorageKey(bot_id=42, chat_id=-100, user_id=7)
    async with SessionStore.open(url, namespace=namespace) as store:
        storage = GridStorage(store)
        try:
            async with storage.create_isolation(lease=lease).lock(key):
                say("holding")
                await asyncio.to_thread(sys.stdin.readline)
                await storage.set_state(key, "late")
                await storage.update_data(key, {"by": "late", "late": True})
        except GridSessionError as error:
            return type(error).__name__
        return "saved"


if __name__ == "__main__":
    say(asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]))))
