"""Events as Prometheus metrics of a worker: `SessionStore.open(url, hooks=[PrometheusHook()])`.

Labels are namespace, kind of record, command and status: sets that do not grow with the number of sessions. Session ids
are in no label.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
except ImportError as missing:
    raise ImportError(
        'gridsession.hooks.prometheus needs prometheus-client: pip install "gridsession[prometheus]"'
    ) from missing

__all__ = ["PrometheusHook"]

SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Bounds of a command's time: a round trip in a data centre takes about a millisecond."""


class PrometheusHook:
    """Counts commands, their outcomes and times, and what happened to leases and members. Give one to all stores.

    ========================================================  =================================================
    gridsession_client_commands_total                         by namespace, kind, command, status
    gridsession_client_command_seconds                        histogram by command, retries included
    gridsession_client_duplicates_total                       commands whose earlier attempt had been applied
    gridsession_client_retries_total                          attempts without a definite answer, by command
    gridsession_client_copies_missing_total                   attempts that too few copies confirmed
    gridsession_client_lease_wait_seconds                     histogram by outcome: granted, gave_up
    gridsession_client_leases_renewed_total, _leases_lost_total
    gridsession_client_expired_total, _evicted_total          as far as this process does it
    gridsession_client_announced_total                        by namespace, reason, outcome: expired sessions told
                                                              here: acknowledged, not_acknowledged (told again)
    gridsession_client_members, _members_connected            of the grid, as this process sees it
    ========================================================  =================================================

    Args:
        registry: where they are registered; None = the library's own, which its `/metrics` shows.
        seconds: upper bounds of the histograms' buckets.

    Raises:
        ValueError: the registry has them already: use that hook for this store too.
    """

    def __init__(self, registry: CollectorRegistry | None = None, *, seconds: Sequence[float] = SECONDS) -> None:
        home = REGISTRY if registry is None else registry

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"gridsession_client_{name}", text, labels, registry=home)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"gridsession_client_{name}", text, registry=home)

        def times(name: str, text: str, *labels: str) -> Histogram:
            return Histogram(f"gridsession_client_{name}", text, labels, registry=home, buckets=seconds)

        of = ("namespace", "command")
        self._commands = counter("commands", "Commands ended.", "namespace", "kind", "command", "status")
        self._seconds = times("command_seconds", "From call to end of a command, retries included.", *of)
        self._duplicates = counter("duplicates", "Commands that an earlier attempt had applied.", *of)
        self._retries = counter("retries", "Attempts that brought no definite answer.", *of)
        self._copies = counter("copies_missing", "Attempts that too few copies confirmed.", *of)
        self._waits = times("lease_wait_seconds", "What turns waited for a held session.", "namespace", "outcome")
        self._renewed = counter("leases_renewed", "Leases of turns that were extended.", "namespace")
        self._lost = counter("leases_lost", "Leases of turns that ended before the turn.", "namespace")
        self._expired = counter("expired", "Sessions that this process swept after their life.", "namespace")
        self._evicted = counter("evicted", "Living sessions lost by this process's memory limit.", "namespace")
        self._announced = counter(
            "announced", "Expired sessions that this process was told of.", "namespace", "reason", "outcome"
        )
        self._members = gauge("members", "Members of the grid that this process knows of.")
        self._connected = gauge("members_connected", "Members of the grid that this process is connected to.")

    def __call__(self, event: Event) -> None:
        """Count one event."""
        match event:
            case CommandDone():
                self._command(event)
            case CommandRetried():
                self._retries.labels(event.namespace, event.command).inc()
            case CopiesMissing():
                self._copies.labels(event.namespace, event.command).inc()
            case LeaseWaited():
                outcome = "granted" if event.granted else "gave_up"
                self._waits.labels(event.namespace, outcome).observe(event.seconds)
            case LeaseRenewed():
                (self._lost if event.lost else self._renewed).labels(event.namespace).inc()
            case Expired():
                self._expired.labels(event.namespace).inc()
            case Evicted():
                self._evicted.labels(event.namespace).inc()
            case Announced():
                outcome = "acknowledged" if event.acknowledged else "not_acknowledged"
                self._announced.labels(event.namespace, event.reason, outcome).inc()
            case MembersChanged():
                self._members.set(event.members)
                self._connected.set(event.connected)

    def _command(self, done: CommandDone) -> None:
        self._commands.labels(done.namespace, done.kind, done.command, done.status).inc()
        self._seconds.labels(done.namespace, done.command).observe(done.seconds)
        if done.duplicate:
            self._duplicates.labels(done.namespace, done.command).inc()
