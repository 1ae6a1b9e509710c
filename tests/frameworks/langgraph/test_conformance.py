"""LangGraph's conformance suite for savers, as released, run against ours at its highest level."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from importlib.metadata import version

import pytest
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import ALL_CAPABILITIES

from gridsession import SessionStore
from gridsession.dialects.langgraph import GridSaver
from tests.frameworks.figures import FIGURES

pytestmark = pytest.mark.frameworks

TESTS = 81


async def test_it_conforms_in_full(url: str, namespace: str) -> None:
    assert version("langgraph-checkpoint-conformance") == "0.0.2"
    assert re.match(r"4\.3\.", version("langgraph-checkpoint"))
    async with SessionStore.open(url, namespace=namespace) as store:

        @checkpointer_test(name="GridSaver")
        async def ours() -> AsyncGenerator[GridSaver, None]:
            yield GridSaver(store)

        report = await validate(ours)
    assert [failure for result in report.results.values() for failure in result.failures] == []
    assert {name for name, result in report.results.items() if result.detected} == {c.value for c in ALL_CAPABILITIES}
    assert report.conformance_level() == "FULL"
    passed = sum(result.tests_passed for result in report.results.values())
    FIGURES[f"langgraph: upstream's tests ({url.partition(':')[0]})"] = {"tests": TESTS, "passed": passed}
    assert passed == TESTS
