"""The adapter of the page is run, and the page shows it as it is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gridsession import SessionStore
from gridsession.errors import InvalidValue
from tests.frameworks.own_adapter import GridMemory

PAGE = Path(__file__).parents[2] / "deploy" / "README.md"
EXAMPLE = Path(__file__).with_name("own_adapter.py").read_text("utf-8").split("# --- adapter ---\n")[1]


async def test_it_keeps_its_promises_under_concurrency(url: str, namespace: str) -> None:
    async with SessionStore.open(url, namespace=namespace) as store:
        memory = GridMemory(store)
        await asyncio.gather(*(memory.add("b", "u", f"{n}", f"{n}!") for n in range(50)))
        texts = await memory.latest("b", "u", 1000)
        assert sorted(texts) == sorted(text for n in range(50) for text in (f"{n}", f"{n}!"))
        assert all(texts[texts.index(f"{n}") + 1] == f"{n}!" for n in range(50))
        assert await memory.latest("b", "u", 3) == texts[-3:]
        assert await memory.latest("b:u", "", 3) == await memory.latest("b", ":u", 3) == []

        async def count() -> None:
            async with memory.facts("b", "u") as facts:
                facts["visits"] = facts.get("visits", 0) + 1

        await asyncio.gather(*(count() for _ in range(20)))
        async with memory.facts("b", "u") as facts:
            assert facts == {"visits": 20}
        with pytest.raises(InvalidValue):
            await memory.add("b", "u", object())  # type: ignore[arg-type]
        assert await memory.forget("b", "u") is True
        assert await memory.forget("b", "u") is False


def test_the_page_shows_it_in_twenty_lines() -> None:
    example = EXAMPLE.split("# --- end ---")[0].strip()
    assert len([line for line in example.splitlines() if line.strip()]) <= 21
    assert example in PAGE.read_text("utf-8")
