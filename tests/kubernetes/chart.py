"""The chart through Helm, and what it renders, as Kubernetes would read it."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.kubernetes.cluster_api import cluster_api

RELEASE, NAMESPACE, NAME = "grid", "bots", "grid-gridsession"
OWNED = {
    "labels": {"app.kubernetes.io/managed-by": "Helm"},
    "annotations": {"meta.helm.sh/release-name": RELEASE, "meta.helm.sh/release-namespace": NAMESPACE},
}
"""What Helm writes on its objects; it takes no others for its own."""


class Rendered:
    """The objects of one rendering.

    Attributes:
        text: as Helm printed them.
        objects: each of them.
    """

    def __init__(self, text: str) -> None:
        import yaml  # comes with kubernetes-validate, which plain pytest does not need

        self.text = text
        self.objects: list[dict[str, Any]] = [each for each in yaml.safe_load_all(text) if each]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [each for each in self.objects if each["kind"] == kind]

    def one(self, kind: str, name: str = NAME) -> dict[str, Any]:
        (found,) = [each for each in self.of(kind) if each["metadata"]["name"] == name]
        return found

    @property
    def nodes(self) -> dict[str, Any]:
        """The StatefulSet's spec."""
        return self.one("StatefulSet")["spec"]

    @property
    def node(self) -> dict[str, Any]:
        """The node's container."""
        (container,) = self.nodes["template"]["spec"]["containers"]
        return container

    @property
    def cluster_name(self) -> str:
        return base64.b64decode(self.one("Secret", f"{NAME}-cluster")["data"]["cluster-name"]).decode()

    def environment(self, container: Mapping[str, Any], *, pod_ip: str = "10.1.2.3") -> dict[str, str]:
        """What the container's process sees."""
        seen: dict[str, str] = {}
        for each in container["env"]:
            source = each.get("valueFrom", {})
            if "fieldRef" in source:
                assert source["fieldRef"]["fieldPath"] == "status.podIP"
                seen[each["name"]] = pod_ip
            elif "secretKeyRef" in source:
                seen[each["name"]] = self.cluster_name
            else:
                # only names that stand before it are put in
                value = each["value"]
                for name, known in seen.items():
                    value = value.replace(f"$({name})", known)
                seen[each["name"]] = value
        return seen

    def pods(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Kind and template of each pod."""
        for each in self.objects:
            if "template" in each.get("spec", {}):
                yield each["kind"], each["spec"]["template"]


class Helm:
    """Helm and our chart; neither a cluster nor plugins of whoever runs the tests."""

    def __init__(self, program: Path, chart: Path, home: Path) -> None:
        self._program, self.chart = program, str(chart)
        folders = {f"HELM_{name}_HOME": str(home / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
        self._environment = os.environ | folders | {"KUBECONFIG": os.devnull}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._program, *arguments], env=self._environment, capture_output=True, text=True, timeout=60
        )

    def template(self, *values: str) -> Rendered:
        """The chart rendered with `values`, each as `--set-json` takes it."""
        done = self._template(values)
        assert done.returncode == 0, done.stderr
        return Rendered(done.stdout)

    def refusal(self, *values: str) -> str:
        """Why the chart refuses `values`."""
        done = self._template(values)
        assert done.returncode != 0, "it rendered"
        return done.stderr

    def install(self, *values: str, existing: Sequence[dict[str, Any]] = ()) -> tuple[Rendered, str]:
        """Manifests and notes of an installation into a namespace where `existing` is already."""
        with cluster_api(*existing) as address:
            connection = ["--dry-run=server", "--kube-apiserver", address, "--disable-openapi-validation"]
            done = self.run("install", RELEASE, self.chart, "-n", NAMESPACE, *connection, *_set(values))
        assert done.returncode == 0, done.stderr
        manifests, _, notes = done.stdout.partition("\nMANIFEST:\n")[2].partition("\nNOTES:\n")
        return Rendered(manifests), notes

    def _template(self, values: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return self.run("template", RELEASE, self.chart, "-n", NAMESPACE, *_set(values))


def _set(values: Sequence[str]) -> list[str]:
    return [part for value in values for part in ("--set-json", value)]


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector matches."""
    if selector is None:
        return False
    wanted = selector.get("matchLabels", {}).items()
    expressions = selector.get("matchExpressions", [])
    assert all(each["operator"] == "In" for each in expressions)
    return wanted <= labels.items() and all(labels.get(each["key"]) in each["values"] for each in expressions)


def admits(policy: Mapping[str, Any], labels: Mapping[str, str], port: int, *, namespace: str = NAMESPACE) -> bool:
    """Whether a network policy lets a pod with `labels` reach `port` of the pods that it protects."""
    named = {"kubernetes.io/metadata.name": namespace}

    def from_there(peer: Mapping[str, Any]) -> bool:
        home = selects(peer["namespaceSelector"], named) if "namespaceSelector" in peer else namespace == NAMESPACE
        return home and selects(peer.get("podSelector", {}), labels)

    return any(
        any(each["port"] == port for each in rule["ports"]) and any(from_there(peer) for peer in rule["from"])
        for rule in policy["spec"]["ingress"]
    )
