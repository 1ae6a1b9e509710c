"""Stands in for the conftest of aiogram's own tests: their fixtures, with our storage behind the names they ask for."""

from __future__ import annotations

import asyncio
import os
import secrets

import pytest
from aiogram import Bot
from aiogram.fsm.storage.base import StorageKey

from gridsession.dialects.aiogram import GridEventIsolation, GridStorage


@pytest.fixture
def bot() -> Bot:
    """A bot that sends nothing."""
    return Bot("42:TEST")


@pytest.fixture
def storage_key(bot: Bot) -> StorageKey:
    """The conversation the tests use."""
    return StorageKey(chat_id=-42, user_id=42, bot_id=bot.id)


@pytest.fixture(params=os.environ["GRIDSESSION_TEST_URLS"].split())
def url(request: pytest.FixtureRequest) -> str:
    """Where sessions live: each test runs once on each place."""
    return str(request.param)


@pytest.fixture
def storage(url: str) -> GridStorage:
    """Ours, whichever they ask for; it opens its store at first use, in the test's loop."""
    return GridStorage(f"{url}?namespace=test-{secrets.token_hex(6)}")


@pytest.fixture
def isolation(storage: GridStorage) -> GridEventIsolation:
    """Ours, whichever they ask for."""
    return storage.create_isolation()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool:
    """Run a test in a loop of its own."""
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}

    async def run() -> None:
        try:
            await pyfuncitem.obj(**arguments)
        finally:
            await pyfuncitem.funcargs["storage"].close()

    asyncio.run(run())
    return True
