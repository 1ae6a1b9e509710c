"""Events as OpenTelemetry spans and metrics, by its semantic conventions for database clients (stable since 1.33).

A command is a span of kind CLIENT, child of whatever span its caller is in, with the time it really began, and a point
of `db.client.operation.duration`. Session ids are in no attribute.
"""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Final

from gridsession.hooks import (
    Announced,
    CommandDone,
    CommandRetried,
    CopiesMissing,
    Event,
    Evicted,
    Expired,
    LeaseRenewed,
    LeaseWaited,
    MembersChanged,
)

try:
    from opentelemetry.metrics import MeterProvider, get_meter_provider
    from opentelemetry.trace import SpanKind, Status, StatusCode, TracerProvider, get_tracer_provider
except ImportError as missing:
    raise ImportError(
        'gridsession.hooks.opentelemetry needs opentelemetry-api: pip install "gridsession[opentelemetry]"'
    ) from missing

__all__ = ["OpenTelemetryHook"]

_SCHEMA: Final = "https://opentelemetry.io/schemas/1.33.0"
_SECONDS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
"""The bounds that the conventions ask for."""
_ANSWERS: Final = frozenset({"ok", "absent", "conflict", "leased", "lease_lost"})
"""What a command may be told without anything having failed."""


class OpenTelemetryHook:
    """Makes spans and metrics of events; give one to all stores that share a provider.

    Attributes of a command, on its span and its metric: `db.system.name`, `db.operation.name` (`Commit`),
    `db.namespace` (the store's), `db.collection.name` (`sessions` or `globals`), `db.response.status_code` (what the
    place said, unless it was ok) and `error.type` (an error's class, or a reply that says that something is wrong; a
    conflict is an answer, not an error). On spans also `gridsession.attempts` and, if so, `gridsession.duplicate`.

    Further metrics, by `db.namespace`: `gridsession.client.duplicates`, `.retries`, `.copies_missing`, `.lease.wait`
    (s), `.leases.renewed`, `.leases.lost`, `.expired`, `.evicted`, `.announced` (expired sessions told here; also by
    `reason` and whether `acknowledged`); and `.members`, `.members.connected`.

    Args:
        tracer_provider, meter_provider: None = the global ones.
        spans: False = metrics only.
        system: the `db.system.name`.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        *,
        spans: bool = True,
        system: str = "gridsession",
    ) -> None:
        ours = ("gridsession", version("gridsession"))
        tracers = tracer_provider or get_tracer_provider()
        self._tracer = tracers.get_tracer(*ours, schema_url=_SCHEMA) if spans else None
        meter = (meter_provider or get_meter_provider()).get_meter(*ours, schema_url=_SCHEMA)
        self._system = system
        self._duration = meter.create_histogram(
            "db.client.operation.duration",
            "s",
            "Duration of database client operations.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._wait = meter.create_histogram(
            "gridsession.client.lease.wait",
            "s",
            "What turns waited for a session that another held.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._counters = {
            name: meter.create_counter(f"gridsession.client.{name}", "1", text) for name, text in _COUNTED.items()
        }
        self._members = meter.create_gauge("gridsession.client.members", "1", "Members known to this process.")
        self._connected = meter.create_gauge("gridsession.client.members.connected", "1", "Members connected to.")

    def __call__(self, event: Event) -> None:
        """Record one event."""
        match event:
            case CommandDone():
                self._command(event)
            case CommandRetried():
                self._count("retries", event.namespace)
            case CopiesMissing():
                self._count("copies_missing", event.namespace)
            case LeaseWaited():
                self._wait.record(event.seconds, {"db.namespace": event.namespace, "granted": event.granted})
            case LeaseRenewed():
                self._count("leases.lost" if event.lost else "leases.renewed", event.namespace)
            case Expired():
                self._count("expired", event.namespace)
            case Evicted():
                self._count("evicted", event.namespace)
            case Announced():
                self._count("announced", event.namespace, reason=event.reason, acknowledged=event.acknowledged)
            case MembersChanged():
                self._members.set(event.members)
                self._connected.set(event.connected)

    def _count(self, name: str, namespace: str, **further: str | bool) -> None:
        self._counters[name].add(1, {"db.namespace": namespace, **further})

    def _command(self, done: CommandDone) -> None:
        attributes: dict[str, str | int | bool] = {
            "db.system.name": self._system,
            "db.operation.name": done.command,
            "db.namespace": done.namespace,
            "db.collection.name": done.kind,
        }
        # A reply's status is in lower case, the class of an error is not.
        if done.status != "ok" and done.status.islower():
            attributes["db.response.status_code"] = done.status
        failed = done.status not in _ANSWERS
        if failed:
            attributes["error.type"] = done.status
        self._duration.record(done.seconds, attributes)
        if done.duplicate:
            self._count("duplicates", done.namespace)
        if self._tracer is None:
            return
        ended = time.time_ns()
        began = ended - int(done.seconds * 1e9)
        attributes["gridsession.attempts"] = done.attempts
        if done.duplicate:
            attributes["gridsession.duplicate"] = True
        name = f"{done.command} {done.kind}"
        span = self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes, start_time=began)
        if failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end(ended)


_COUNTED: Final = {
    "duplicates": "Commands that an earlier attempt had applied.",
    "retries": "Attempts that brought no definite answer.",
    "copies_missing": "Attempts that too few copies confirmed.",
    "leases.renewed": "Leases of turns that were extended.",
    "leases.lost": "Leases of turns that ended before the turn.",
    "expired": "Sessions that this process swept after their life.",
    "evicted": "Living sessions lost by this process's memory limit.",
    "announced": "Expired sessions that this process was told of.",
}
