"""Whether a node lives and may be sent work, and its metrics, over HTTP."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, NamedTuple

from gridsession.errors import NodeError

__all__ = ["Health", "HealthServer"]

_PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"


class Health(NamedTuple):
    """How a node stands.

    Attributes:
        alive: its JVM runs; restart it if not.
        ready: it joined, a majority of the declared members is there, its member tells of itself, its clock is right,
            and it is not on its way out.
        reason: why it is not ready, in words; empty if it is.
        members: how many members it sees, itself included.
        needed: how many must be there to serve.
    """

    alive: bool
    ready: bool
    reason: str
    members: int
    needed: int


class HealthServer:
    """Answers `GET /healthz` and `GET /readyz` with 200 or 503 and a line of JSON, `GET /metrics` for Prometheus.

    It has threads of its own.

    Args:
        address: `host:port` to listen on.
        ask: how the node stands; called for each request, on the server's threads.
        metrics: its metrics in Prometheus' text format; called likewise.

    Raises:
        NodeError: the address cannot be listened on.
    """

    def __init__(self, address: str, ask: Callable[[], Health], metrics: Callable[[], str]) -> None:
        host, _, port = address.rpartition(":")
        try:
            server = _ServerOnIPv6 if ":" in host else _Server
            self._server = server((host.strip("[]"), int(port)), _handler(ask, metrics))
        except OSError as error:
            raise NodeError(f"cannot answer health checks on {address}: {error.strerror or error}") from error

    def __enter__(self) -> HealthServer:
        threading.Thread(target=self._server.serve_forever, name="node-health", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True


class _ServerOnIPv6(_Server):
    address_family = socket.AF_INET6


def _handler(ask: Callable[[], Health], metrics: Callable[[], str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        # A client that never finishes its request must not hold a thread.
        timeout = 5

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(200, _PROMETHEUS, metrics())
                return
            health = ask()
            holds = {"/healthz": health.alive, "/readyz": health.ready}.get(path)
            if holds is None:
                self.send_error(404)
                return
            self._answer(200 if holds else 503, "application/json", json.dumps(health._asdict()) + "\n")

        def _answer(self, status: int, kind: str, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
            """Health checks come every few seconds; they are no news."""

    return Handler
