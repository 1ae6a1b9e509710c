"""Peers that keep sessions in files of one host."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import struct
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import lmdb
import msgpack

from gridsession.cli._measuring import Turn, change, session_id
from tests.bench._work import TTL, Case, Context, NotRun, sized

_UNTIL: Final = struct.Struct("<d")
_NOTHING: Final = _UNTIL.pack(0)


@contextlib.asynccontextmanager
async def _raw_lmdb(context: Context) -> AsyncIterator[Turn]:
    keys = [session_id(index).encode() for index in range(context.setting.sessions)]
    with lmdb.open(str(context.folder / "raw-lmdb"), map_size=1 << 34, sync=False) as env:

        def put(writing: lmdb.Transaction, index: int, state: dict[str, Any]) -> None:
            writing.put(keys[index], _UNTIL.pack(time.time() + TTL) + msgpack.packb(state))

        async def fill(index: int) -> None:
            with env.begin(write=True) as writing:
                put(writing, index, context.session(index))

        async def turn(index: int, number: int) -> object:
            with env.begin(write=True) as writing:
                held = writing.get(keys[index]) or _NOTHING
                (until,) = _UNTIL.unpack_from(held)
                state = msgpack.unpackb(held[_UNTIL.size :]) if until > time.time() else {}
                state.update(change(number))
                put(writing, index, state)
            await asyncio.sleep(0)
            return state["step"]

        await context.fill_once("raw lmdb", fill)
        yield turn


def _pickled(users: int) -> Any:
    @contextlib.asynccontextmanager
    async def opening(context: Context) -> AsyncIterator[Turn]:
        try:
            from telegram.ext import ExtBot, PicklePersistence
        except ImportError:
            raise NotRun("python-telegram-bot is not installed: pip install -e '.[bench]'") from None
        persistence: Any = PicklePersistence(context.folder / f"pickle-{users}")
        persistence.set_bot(ExtBot("1:none"))
        # Nothing shared between users: pickle would write it once for all of them.
        data = {index: sized(index, context.setting.size) for index in range(users)}
        await persistence.get_user_data()
        persistence.user_data = copy.deepcopy(data)

        async def turn(index: int, number: int) -> object:
            user = index % users
            data[user].update(change(number))
            # What Application.update_persistence does for each user that was touched, here after each turn.
            await persistence.update_user_data(user, copy.deepcopy(data[user]))
            await asyncio.sleep(0)
            return data[user]["step"]

        yield turn

    return opening


def _pickle_case(users: int) -> Case:
    title = f"python-telegram-bot `PicklePersistence`, {users:,} users"
    # It works in the loop's thread: more callers only wait for it.
    return Case(f"ptb-{users}", title, _pickled(users), most_callers=1, alone=True)


CASES: Final = (
    Case("raw-lmdb", "py-lmdb alone, one host", _raw_lmdb),
    _pickle_case(1_000),
    _pickle_case(10_000),
)
