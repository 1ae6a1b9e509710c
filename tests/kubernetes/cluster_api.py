"""As much of a cluster's API as `helm install --dry-run=server` asks: which kinds there are, and what exists."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

KINDS = {
    "v1": {"services": "Service", "secrets": "Secret", "serviceaccounts": "ServiceAccount"},
    "apps/v1": {"statefulsets": "StatefulSet", "deployments": "Deployment"},
    "policy/v1": {"poddisruptionbudgets": "PodDisruptionBudget"},
    "networking.k8s.io/v1": {"networkpolicies": "NetworkPolicy"},
    "monitoring.coreos.com/v1": {"servicemonitors": "ServiceMonitor", "prometheusrules": "PrometheusRule"},
}
VERSION = {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}


@contextmanager
def cluster_api(*existing: dict[str, Any]) -> Iterator[str]:
    """The address of an API in whose namespaces `existing` objects are, each as Helm itself would have made it."""
    answers = _discovery() | {_path(each): each for each in existing}
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(answers))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="cluster-api")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _discovery() -> dict[str, dict[str, Any]]:
    groups = [each.split("/") for each in KINDS if "/" in each]
    answers: dict[str, dict[str, Any]] = {
        "/version": VERSION,
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(*each) for each in groups]},
    }
    for version, kinds in KINDS.items():
        resources = [
            {"name": name, "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": ["get", "list"]}
            for name, kind in kinds.items()
        ]
        answers[_root(version)] = {"kind": "APIResourceList", "groupVersion": version, "resources": resources}
    return answers


def _group(name: str, version: str) -> dict[str, Any]:
    one = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [one], "preferredVersion": one}


def _root(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def _path(thing: dict[str, Any]) -> str:
    plural = next(name for name, kind in KINDS[thing["apiVersion"]].items() if kind == thing["kind"])
    metadata = thing["metadata"]
    return f"{_root(thing['apiVersion'])}/namespaces/{metadata['namespace']}/{plural}/{metadata['name']}"


def _handler(answers: dict[str, dict[str, Any]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            found = answers.get(path)
            if found is None and path.endswith("/secrets"):
                # where Helm looks for releases of that name
                found = {"kind": "SecretList", "apiVersion": "v1", "metadata": {}, "items": []}
            missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
            body = json.dumps(found or missing).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
            pass

    return Handler
