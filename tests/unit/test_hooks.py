"""Hooks as users see them: the Prometheus and the OpenTelemetry one with the real libraries, and none at all."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import CollectorRegistry, generate_latest

from gridsession import Policy, SessionStore
from gridsession.drivers.lmdb import LmdbDriver
from gridsession.errors import Conflict, GridSessionError, Leased, WrongType
from gridsession.hooks import (
    Announced,
    CommandDone,
    CopiesMissing,
    Event,
    Expired,
    Hook,
    Hooks,
    LeaseRenewed,
    LeaseWaited,
    MembersChanged,
)
from gridsession.hooks.opentelemetry import OpenTelemetryHook
from gridsession.hooks.prometheus import PrometheusHook
from gridsession.testing.local_grid import LocalGrid

SECRET = "hidden-31337"  # a user's id that must show nowhere

ANNOUNCED = [
    Announced("shop", f"line:{SECRET}", "ttl", 0.5, attempt, acknowledged=attempt == 3) for attempt in (1, 2, 3)
]
"""A session whose end nobody took twice."""


async def exercise(url: str, namespace: str, *hooks: Hook) -> None:
    """Something of everything: done, conflict, an error, a wait for a lease that is granted, one that is given up."""
    async with SessionStore.open(url, namespace=namespace, hooks=hooks, policy=Policy(lease=5)) as store:
        session = store.session(f"line:{SECRET}")
        await session.set("name", "Ploy")
        await store.globals.set("rate", 1)
        with pytest.raises(Conflict):
            await session.commit(if_absent=True)
        with pytest.raises(WrongType):
            await session.increment("name")
        held = asyncio.Event()

        async def hold() -> None:
            async with store.turn(session_id) as turn:
                held.set()
                await asyncio.sleep(0.1)
                turn.state["held"] = True

        session_id = f"line:{SECRET}"
        holder = asyncio.create_task(hold())
        await held.wait()
        with pytest.raises(Leased):
            async with store.turn(session_id, wait=0):
                pass
        async with store.turn(session_id):
            pass
        await holder


@pytest.fixture(params=["memory", pytest.param("grid", marks=pytest.mark.grid)])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "grid":
        grid: LocalGrid = request.getfixturevalue("grid")
        return grid.url
    return "memory://"


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    return registry.get_sample_value(f"gridsession_client_{name}", labels) or 0.0


async def test_prometheus(url: str, namespace: str) -> None:
    registry = CollectorRegistry()
    told: list[Event] = []
    await exercise(url, namespace, PrometheusHook(registry), told.append)
    done = {"namespace": namespace, "kind": "sessions", "command": "Commit"}
    # Three by verbs, of which two fail; the turn that changes something; the memory has no other.
    assert value(registry, "commands_total", **done, status="ok") == 2
    assert value(registry, "commands_total", **done, status="conflict") == 1
    assert value(registry, "commands_total", **done, status="wrong_type") == 1
    assert value(registry, "commands_total", **done | {"kind": "globals"}, status="ok") == 1
    assert value(registry, "command_seconds_count", namespace=namespace, command="Commit") == 5
    assert value(registry, "lease_wait_seconds_count", namespace=namespace, outcome="granted") == 1
    assert 0.02 < value(registry, "lease_wait_seconds_sum", namespace=namespace, outcome="granted") < 5
    assert value(registry, "lease_wait_seconds_count", namespace=namespace, outcome="gave_up") == 1
    if "hazelcast" in url:
        seen = [event for event in told if isinstance(event, MembersChanged)]
        assert max(event.connected for event in seen) >= 1
        # It was closed.
        assert (value(registry, "members"), value(registry, "members_connected")) == (3, 0)
        assert seen[-1] == MembersChanged(0, 3)
    assert SECRET.encode() not in generate_latest(registry)


def test_prometheus_counts_what_happens_rarely() -> None:
    registry = CollectorRegistry()
    hooks = Hooks([PrometheusHook(registry)])
    events: list[Event] = [
        CommandDone("shop", SECRET, "Commit", "ok", 0.5, 2, True),
        CopiesMissing("shop", SECRET, "Commit", 1),
        LeaseRenewed("shop", SECRET, lost=False),
        LeaseRenewed("shop", SECRET, lost=True),
        Expired("shop", SECRET),
        *ANNOUNCED,
    ]
    for event in events:
        hooks(event)
    assert value(registry, "duplicates_total", namespace="shop", command="Commit") == 1
    assert value(registry, "copies_missing_total", namespace="shop", command="Commit") == 1
    assert value(registry, "leases_renewed_total", namespace="shop") == 1
    assert value(registry, "leases_lost_total", namespace="shop") == 1
    assert value(registry, "expired_total", namespace="shop") == 1
    told = {"namespace": "shop", "reason": "ttl"}
    assert value(registry, "announced_total", **told, outcome="acknowledged") == 1
    assert value(registry, "announced_total", **told, outcome="not_acknowledged") == 2
    assert SECRET.encode() not in generate_latest(registry)


class Recorded:
    """OpenTelemetry's own SDK, recording into memory."""

    def __init__(self) -> None:
        self.spans, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers, self.meters = TracerProvider(), MeterProvider([self._reader])
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.hook = OpenTelemetryHook(self.tracers, self.meters)

    def points(self, name: str) -> list[Any]:
        data = self._reader.get_metrics_data()
        assert data is not None
        found = [
            metric
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
        ]
        return [point for metric in found for point in metric.data.data_points]


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    made = Recorded()
    yield made
    made.tracers.shutdown()
    made.meters.shutdown()


async def test_opentelemetry(url: str, namespace: str, recorded: Recorded) -> None:
    began = time.time_ns()
    with recorded.tracers.get_tracer("webhook").start_as_current_span("webhook") as parent:
        await exercise(url, namespace, recorded.hook)
    spans = [span for span in recorded.spans.get_finished_spans() if span.name != "webhook"]
    assert {span.kind for span in spans} == {SpanKind.CLIENT}
    assert {span.context.trace_id for span in spans} == {parent.get_span_context().trace_id}
    assert all(began <= span.start_time <= span.end_time <= time.time_ns() for span in spans)
    assert {span.name for span in spans} >= {"Commit sessions", "Load sessions", "Commit globals"}
    common = {"db.system.name": "gridsession", "db.operation.name": "Commit", "db.collection.name": "sessions"}
    by_status = {
        span.attributes.get("db.response.status_code"): span for span in spans if span.name == "Commit sessions"
    }
    assert by_status.keys() == {None, "conflict", "wrong_type"}
    for status, span in by_status.items():
        told = dict(span.attributes)
        assert told.items() >= (common | {"db.namespace": namespace, "gridsession.attempts": 1}).items()
        assert told.get("error.type") == ("wrong_type" if status == "wrong_type" else None)
        assert (span.status.status_code is StatusCode.ERROR) == (status == "wrong_type")
    points = recorded.points("db.client.operation.duration")
    commits = [point for point in points if point.attributes["db.operation.name"] == "Commit"]
    assert sum(point.count for point in commits) == 5
    assert points[0].explicit_bounds == (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
    waits = {point.attributes["granted"]: point.count for point in recorded.points("gridsession.client.lease.wait")}
    assert waits == {True: 1, False: 1}
    assert all(SECRET not in str(span.to_json()) for span in spans)
    assert SECRET not in str(points)


def test_opentelemetry_counts_expired_sessions_told(recorded: Recorded) -> None:
    hooks = Hooks([recorded.hook])
    for event in ANNOUNCED:
        hooks(event)
    points = recorded.points("gridsession.client.announced")
    assert {point.attributes["acknowledged"]: point.value for point in points} == {True: 1, False: 2}
    assert {(point.attributes["db.namespace"], point.attributes["reason"]) for point in points} == {("shop", "ttl")}
    assert SECRET not in str(points)


async def test_an_error_is_a_failed_span_of_its_class(recorded: Recorded) -> None:
    Hooks([recorded.hook])(CommandDone("shop", SECRET, "Commit", "OutcomeUnknown", 2.0, 7, True))
    (span,) = recorded.spans.get_finished_spans()
    assert dict(span.attributes or {}) == {
        "db.system.name": "gridsession",
        "db.operation.name": "Commit",
        "db.namespace": "shop",
        "db.collection.name": "sessions",
        "error.type": "OutcomeUnknown",
        "gridsession.attempts": 7,
        "gridsession.duplicate": True,
    }
    assert span.status.status_code is StatusCode.ERROR
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time - span.start_time == 2_000_000_000


@pytest.mark.parametrize("place", ["memory", "lmdb"])
async def test_sessions_that_are_swept_are_told_where_this_process_sweeps(
    place: str, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LmdbDriver, "sweep_every", 0.1)
    url = "memory://" if place == "memory" else f"lmdb://{tmp_path}/there"
    told: list[Event] = []
    policy = Policy(ttl=0.01, deadline=0.5)
    async with SessionStore.open(url, namespace=namespace, hooks=[told.append], policy=policy) as store:
        await store.session("line:1").set("name", 1)
        ends = time.monotonic() + 20
        while Expired(namespace, "line:1") not in told:
            assert time.monotonic() < ends, "nobody swept it"
            await asyncio.sleep(0.05)
            await store.session("line:2").exists()


async def test_without_a_hook_no_event_is_made(url: str, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def made(self: Hooks, event: Event) -> None:
        raise AssertionError(f"{event} was made for nobody")

    monkeypatch.setattr(Hooks, "__call__", made)
    await exercise(url, namespace)


async def test_a_turn_that_need_not_wait_tells_of_no_wait(namespace: str) -> None:
    told: list[Event] = []
    async with (
        SessionStore.open("memory://", namespace=namespace, hooks=[told.append]) as store,
        store.turn("line:1"),
    ):
        pass
    assert not [event for event in told if isinstance(event, LeaseWaited)]


@pytest.mark.parametrize(("module", "extra"), [("prometheus", "prometheus"), ("opentelemetry", "opentelemetry")])
def test_who_lacks_the_library_is_told_what_to_install(module: str, extra: str) -> None:
    missing = {"prometheus": "prometheus_client", "opentelemetry": "opentelemetry"}[module]
    code = f"import sys; sys.modules[{missing!r}] = None; import gridsession; import gridsession.hooks.{module}"
    ended = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert ended.returncode == 1
    assert f'pip install "gridsession[{extra}]"' in ended.stderr


def test_neither_library_is_imported_by_the_package() -> None:
    code = "import sys, gridsession, gridsession.hooks, gridsession.sync; print([name for name in sys.modules"
    code += " if name.startswith(('prometheus_client', 'opentelemetry'))])"
    ended = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert ended.stdout == "[]\n"


def test_errors_of_hooks_go_no_further() -> None:
    def broken(event: Event) -> None:
        raise GridSessionError("in a hook")

    Hooks([broken])(Expired("shop", "line:1"))
