"""Laid beside openai-agents' own tests: their sessions become ours, at the place the environment names."""

from __future__ import annotations

import asyncio
import inspect
import os
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from agents.run import set_default_agent_runner
from agents.tracing import set_tracing_disabled

from gridsession import sync
from gridsession.dialects.openai_agents import GridSession

set_tracing_disabled(True)
opened: list[sync.SessionStore] = []


class Ours(GridSession):
    """As their SQLite sessions are made: a session of one database file, which two sessions may share."""

    def __init__(self, session_id: str, db_path: object = ":memory:", *_: object, **named: Any) -> None:
        apart = secrets.token_hex(4) if db_path == ":memory:" else str(db_path)
        super().__init__(f"{apart}|{session_id}", opened[-1], **named)
        self.session_id, self._their_id = session_id, self.session_id

    @property
    def _id(self) -> str:
        return f"openai-agents:{self._their_id}"


class Sync(Ours):
    """Theirs is closed without awaiting."""

    def close(self) -> None:  # type: ignore[override]
        """Nothing: the store is the test's."""


@pytest.fixture(autouse=True)
def place() -> Iterator[None]:
    """A namespace of its own for each test."""
    set_default_agent_runner(None)
    with sync.SessionStore.open(os.environ["GRIDSESSION_TEST_URL"], namespace=f"t{secrets.token_hex(6)}") as store:
        opened.append(store)
        yield
        opened.pop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        module = item.module  # type: ignore[attr-defined]
        for name, ours in (("SQLiteSession", Sync), ("AsyncSQLiteSession", Ours)):
            if hasattr(module, name):
                setattr(module, name, ours)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}))
    return True
