"""The chart through Helm: what it renders is legal, safe, and what a node takes."""

from __future__ import annotations

import copy
import json
import math
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from gridsession.node.config import NodeConfig
from tests.kubernetes.chart import NAME, NAMESPACE, OWNED, Helm, admits, selects
from tests.prometheus import DASHBOARD, alerts

# the first test may build Helm
pytestmark = [pytest.mark.docker, pytest.mark.timeout(1800)]

EVERYTHING = (
    "worker.enabled=true",
    "replicas=5",
    "backups=1",
    'image={"digest":"sha256:abc","pullSecrets":["registry"]}',
    'cpu={"request":2,"limit":4}',
    'limits={"record_bytes":1048576,"waiters":64}',
    'spread={"hosts":"preferred","zones":"required"}',
    'nodeSelector={"disk":"ssd"}',
    'tolerations=[{"key":"grid","operator":"Exists"}]',
    'priorityClassName="high"',
    'podAnnotations={"mesh":"on"}',
    'snapshots={"every":60,"size":"5Gi","storageClass":"ssd"}',
    'networkPolicy.workerNamespaces=["shop"]',
    'networkPolicy.healthFrom=[{"podSelector":{"matchLabels":{"app":"prometheus"}}}]',
    'monitoring={"serviceMonitor":true,"alerts":true,"dashboard":true,"interval":"15s","labels":{"release":"prometheus"}}',
)
CHOICES = {
    "defaults": (),
    "everything": EVERYTHING,
    "one node": ("replicas=1", 'spread={"hosts":"none","zones":"none"}', "networkPolicy.enabled=false"),
    "a Secret that exists": ('existingSecret="orders"', 'secretKey="name"', "worker.enabled=true"),
}
MI = 1 << 20
MONITORING = "monitoring.coreos.com/v1"


def bytes_of(quantity: str) -> int:
    return int(quantity[:-2]) << {"Mi": 20, "Gi": 30}[quantity[-2:]]


@pytest.mark.parametrize("values", CHOICES.values(), ids=CHOICES)
def test_helm_finds_no_fault(helm: Helm, values: tuple[str, ...]) -> None:
    options = [part for value in values for part in ("--set-json", value)]
    done = helm.run("lint", "--strict", *options, helm.chart)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("version", ["1.25", "1.31", "1.34", "newest"])
@pytest.mark.parametrize("values", CHOICES.values(), ids=CHOICES)
def test_each_object_keeps_to_the_schemas_of_kubernetes(helm: Helm, values: tuple[str, ...], version: str) -> None:
    import kubernetes_validate

    version = kubernetes_validate.latest_version() if version == "newest" else version
    objects = helm.template(*values).objects
    assert {"StatefulSet", "Service", "ServiceAccount"} <= {each["kind"] for each in objects}
    for each in objects:
        if each["apiVersion"] == MONITORING:
            # the operator's own kinds: the next test reads them
            continue
        kubernetes_validate.validate(each, version, strict=True)


def test_prometheus_is_told_where_the_nodes_are_and_what_to_alert_of(helm: Helm) -> None:
    assert not {"ServiceMonitor", "PrometheusRule", "ConfigMap"} & {each["kind"] for each in helm.template().objects}
    rendered = helm.template(*EVERYTHING)
    monitor, rule = rendered.one("ServiceMonitor"), rendered.one("PrometheusRule")
    for each in (monitor, rule):
        assert each["apiVersion"] == MONITORING
        assert each["metadata"]["labels"]["release"] == "prometheus"
        assert each["metadata"]["labels"]["app.kubernetes.io/name"] == "gridsession"
    service = rendered.one("Service")
    assert selects(monitor["spec"]["selector"], service["metadata"]["labels"])
    assert not selects(monitor["spec"]["selector"], rendered.one("Service", f"{NAME}-worker")["metadata"]["labels"])
    (endpoint,) = monitor["spec"]["endpoints"]
    assert (endpoint["path"], endpoint["interval"], endpoint["honorLabels"]) == ("/metrics", "15s", True)
    (port,) = [each for each in service["spec"]["ports"] if each["name"] == endpoint["port"]]
    assert port["targetPort"] in {each["name"] for each in rendered.node["ports"]}
    assert service["spec"]["publishNotReadyAddresses"] is True, "nodes that are not ready are read too"
    rules = [each for group in rule["spec"]["groups"] for each in group["rules"]]
    # as they are, but that of a grid that is gone: this one is missed also if it never came
    gone = f'absent(gridsession_node_alive{{job="{NAMESPACE}/{NAME}"}})'
    expected = [each | {"expr": each["expr"].replace("absent(gridsession_node_alive)", gone)} for each in alerts()]
    assert expected == rules
    assert gone in next(each["expr"] for each in rules if each["alert"] == "GridsessionGone")
    assert endpoint["relabelings"][0] == {
        "sourceLabels": ["namespace", "service"],
        "separator": "/",
        "targetLabel": "job",
    }
    (board,) = rendered.of("ConfigMap")
    assert json.loads(board["data"]["gridsession.json"]) == json.loads(DASHBOARD.read_text())


def test_alerts_that_do_not_miss_this_grid_are_not_rendered(helm: Helm, tmp_path: Path) -> None:
    altered = copy.copy(helm)
    altered.chart = str(shutil.copytree(helm.chart, tmp_path / "kubernetes"))
    rules = tmp_path / "kubernetes" / "alerts.yaml"
    rules.write_text(rules.read_text().replace("absent(gridsession_node_alive)", "absent( gridsession_node_alive )"))
    assert "what alerts of a grid that is gone?" in altered.refusal("monitoring.alerts=true")


def test_snapshots_are_off_and_then_on_volumes_of_the_nodes(helm: Helm) -> None:
    plain = helm.template()
    assert "volumeClaimTemplates" not in plain.nodes
    assert NodeConfig.from_options(plain.environment(plain.node)).snapshot_every is None
    rendered = helm.template('snapshots={"every":60,"size":"5Gi","storageClass":"ssd"}')
    config = NodeConfig.from_options(rendered.environment(rendered.node))
    assert (config.snapshot_every, config.snapshot_dir) == (60, Path("/snapshots"))
    mounts = {each["name"]: each["mountPath"] for each in rendered.node["volumeMounts"]}
    (claim,) = rendered.nodes["volumeClaimTemplates"]
    assert mounts == {"tmp": "/tmp", claim["metadata"]["name"]: "/snapshots"}
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "ssd",
        "resources": {"requests": {"storage": "5Gi"}},
    }
    # no root is needed to write there
    assert rendered.nodes["template"]["spec"]["securityContext"]["fsGroup"] == 10001
    (claim,) = helm.template("snapshots.every=60").nodes["volumeClaimTemplates"]
    assert "storageClassName" not in claim["spec"], "the cluster's own"


def test_a_policy_that_keeps_prometheus_out_is_warned_of(helm: Helm) -> None:
    _, notes = helm.install("monitoring.serviceMonitor=true")
    assert "lets no Prometheus in" in notes
    _, notes = helm.install("monitoring.serviceMonitor=true", "networkPolicy.healthFrom=[{}]")
    assert "lets no Prometheus in" not in notes


@pytest.mark.parametrize("replicas", [1, 3, 4, 5, 7])
def test_a_node_takes_what_it_is_told(helm: Helm, replicas: int) -> None:
    rendered = helm.template(f"replicas={replicas}", 'limits={"record_bytes":1048576}')
    config = NodeConfig.from_options(rendered.environment(rendered.node))
    assert (config.members_declared, rendered.nodes["replicas"]) == (replicas, replicas)
    assert (config.bind, config.port, config.address) == ("10.1.2.3", 5701, "10.1.2.3:5701")
    assert config.cluster_name == rendered.cluster_name
    assert config.sync_backups == NodeConfig(members_declared=replicas).sync_backups
    assert config.limits.record_bytes == 1 << 20
    # stable names of all the pods, given by the headless service even before they are ready
    service = rendered.one("Service")["spec"]
    names = [f"{NAME}-{number}.{NAME}.{NAMESPACE}.svc:5701" for number in range(replicas)]
    assert list(config.join) == (names if replicas > 1 else [])
    assert (service["clusterIP"], service["publishNotReadyAddresses"]) == ("None", True)
    assert rendered.nodes["serviceName"] == NAME
    assert service["selector"].items() <= rendered.nodes["template"]["metadata"]["labels"].items()
    # none is ready before a majority is there, so they must not wait for each other
    assert rendered.nodes["podManagementPolicy"] == "Parallel"


@pytest.mark.parametrize("memory", ["384Mi", "512Mi", "1Gi", "1536Mi", "8Gi"])
@pytest.mark.parametrize("percent", [50, 70])
def test_the_heap_is_a_share_of_the_memory_limit_and_leaves_room(helm: Helm, memory: str, percent: int) -> None:
    rendered = helm.template(f'memory="{memory}"', f"heap.percent={percent}")
    resources = rendered.node["resources"]
    assert resources["requests"]["memory"] == resources["limits"]["memory"] == memory
    assert "cpu" not in resources["limits"]
    heap = NodeConfig.from_options(rendered.environment(rendered.node)).heap_bytes
    limit = bytes_of(memory)
    assert heap == math.floor(min(limit * percent // 100, limit - 256 * MI) / MI) * MI


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ('memory="300Mi"', "less than 64 MiB of heap"),
        ('memory="1.5Gi"', "at '/memory'"),
        ('memory="2G"', "at '/memory'"),
        ("replicas=0", "at '/replicas'"),
        ("replicas=2", "one of two is no majority"),
        ("backups=2", "give at most 1"),
        ("snapshots.every=0.5", "at '/snapshots/every'"),
        ('snapshots.size="much"', "at '/snapshots/size'"),
        ('spread.hosts="always"', "at '/spread/hosts'"),
        ("drainTimeout=0", "at '/drainTimeout'"),
        ("limits.records=5", "record_bytes"),
        ("networkPolicy.enable=false", "additional properties 'enable' not allowed"),
    ],
)
def test_values_that_would_harm_are_refused_with_the_reason(helm: Helm, value: str, reason: str) -> None:
    assert reason in helm.refusal(value)


@pytest.mark.parametrize(
    ("replicas", "backups", "available"),
    [(3, None, 2), (4, None, 3), (5, None, 3), (7, None, 5), (5, 1, 4), (7, 3, 4), (5, 0, 4)],
)
def test_no_eviction_takes_the_majority_or_more_nodes_than_there_are_copies(
    helm: Helm, replicas: int, backups: int | None, available: int
) -> None:
    rendered = helm.template(f"replicas={replicas}", *([] if backups is None else [f"backups={backups}"]))
    budget = rendered.one("PodDisruptionBudget")["spec"]
    assert budget["minAvailable"] == available
    config = NodeConfig.from_options(rendered.environment(rendered.node))
    # one may always go, or machines could not be drained
    assert config.majority <= available <= replicas - 1
    assert replicas - available <= max(1, config.sync_backups)
    assert selects(budget["selector"], rendered.nodes["template"]["metadata"]["labels"])


def test_a_single_node_does_not_keep_its_machine_from_being_drained(helm: Helm) -> None:
    assert helm.template("replicas=1").of("PodDisruptionBudget") == []


def test_probes_ask_what_each_is_for(helm: Helm) -> None:
    rendered = helm.template()
    paths = {name: rendered.node[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {name: get["path"] for name, get in paths.items()} == {
        "startup": "/healthz",
        "liveness": "/healthz",
        "readiness": "/readyz",
    }
    ports = {each["name"]: each["containerPort"] for each in rendered.node["ports"]}
    assert {get["port"] for get in paths.values()} == {"health"}
    assert rendered.environment(rendered.node)["GRIDSESSION_HTTP"] == f"0.0.0.0:{ports['health']}"
    assert ports["grid"] == 5701


@pytest.mark.parametrize("seconds", [90, 300])
def test_kubernetes_waits_longer_than_a_node_drains(helm: Helm, seconds: int) -> None:
    rendered = helm.template(f"drainTimeout={seconds}")
    config = NodeConfig.from_options(rendered.environment(rendered.node))
    assert config.drain_timeout == seconds
    assert rendered.nodes["template"]["spec"]["terminationGracePeriodSeconds"] > seconds + 5
    assert "preStop" not in json.dumps(rendered.node)


def test_pods_have_no_rights_and_no_root(helm: Helm) -> None:
    rendered = helm.template("worker.enabled=true")
    assert {kind for kind, _ in rendered.pods()} == {"StatefulSet", "Deployment"}
    for _, template in rendered.pods():
        pod = template["spec"]
        assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)
        assert pod["serviceAccountName"] == NAME
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC"}
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert [each["mountPath"] for each in container["volumeMounts"]] == ["/tmp"]
        assert pod["volumes"][0]["emptyDir"]["sizeLimit"]
    assert rendered.one("ServiceAccount")["automountServiceAccountToken"] is False
    assert not {each["kind"] for each in rendered.objects} & {
        "Role",
        "ClusterRole",
        "RoleBinding",
        "ClusterRoleBinding",
    }


def test_only_members_and_labelled_workers_reach_the_grid(helm: Helm) -> None:
    rendered = helm.template("worker.enabled=true")
    policy = rendered.one("NetworkPolicy")
    node = rendered.nodes["template"]["metadata"]["labels"]
    worker = rendered.one("Deployment", f"{NAME}-worker")["spec"]["template"]["metadata"]["labels"]
    assert selects(policy["spec"]["podSelector"], node)
    assert not selects(policy["spec"]["podSelector"], worker)
    assert set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    label = {"gridsession/client": NAME}
    assert admits(policy, node, 5701)
    assert admits(policy, worker, 5701)
    assert admits(policy, label, 5701)
    strangers: list[dict[str, str]] = [
        {},
        {"app.kubernetes.io/name": "gridsession"},
        {"gridsession/client": "other-gridsession"},
        node | {"app.kubernetes.io/instance": "other"},
    ]
    assert not any(admits(policy, stranger, 5701) for stranger in strangers)
    # the kubelet needs no rule, others have nothing to ask
    assert not any(admits(policy, labels, 8080) for labels in (*strangers, node, worker))
    assert not any(admits(policy, labels, 5701, namespace="shop") for labels in (label, node))
    for rule in policy["spec"]["egress"]:
        assert "to" in rule or {each["port"] for each in rule["ports"]} == {53}


def test_other_namespaces_are_let_in_by_name_and_label(helm: Helm) -> None:
    policy = helm.template(*EVERYTHING).one("NetworkPolicy")
    label = {"gridsession/client": NAME}
    assert admits(policy, label, 5701, namespace="shop")
    assert not admits(policy, {}, 5701, namespace="shop")
    assert not admits(policy, label, 5701, namespace="elsewhere")
    assert admits(policy, {"app": "prometheus"}, 8080)
    assert not admits(policy, {"app": "prometheus"}, 5701)
    assert helm.template("networkPolicy.enabled=false").of("NetworkPolicy") == []


def test_the_cluster_name_is_in_the_secret_and_nowhere_else(helm: Helm) -> None:
    rendered, again = helm.template("worker.enabled=true"), helm.template()
    assert len(rendered.cluster_name) >= 32
    assert rendered.cluster_name != again.cluster_name
    secret = rendered.one("Secret", f"{NAME}-cluster")
    assert secret["immutable"] is True
    assert rendered.text.count(rendered.cluster_name) == 0
    assert rendered.text.count(secret["data"]["cluster-name"]) == 1
    assert rendered.of("ConfigMap") == []
    installed, notes = helm.install()
    assert installed.cluster_name not in notes


def test_a_secret_that_exists_is_used(helm: Helm) -> None:
    rendered = helm.template('existingSecret="orders"', 'secretKey="name"', "worker.enabled=true")
    assert rendered.of("Secret") == []
    for _, template in rendered.pods():
        (named,) = [each for each in template["spec"]["containers"][0]["env"] if "secretKeyRef" in str(each)]
        assert named["valueFrom"]["secretKeyRef"] == {"name": "orders", "key": "name"}


def _stored(kind: str, version: str, name: str, content: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": NAMESPACE} | OWNED
    return {"apiVersion": version, "kind": kind, "metadata": metadata} | content


def test_the_name_made_at_first_is_kept(helm: Helm) -> None:
    kept = _stored("Secret", "v1", f"{NAME}-cluster", {"data": {"cluster-name": "dGhlLWZpcnN0"}})
    rendered, _ = helm.install(existing=[kept])
    assert rendered.cluster_name == "the-first"


def test_another_number_of_nodes_is_warned_of(helm: Helm) -> None:
    running = _stored("StatefulSet", "apps/v1", NAME, {"spec": {"replicas": 3}})
    _, same = helm.install(existing=[running])
    assert "WARNING" not in same
    assert "declares 3 members" in same
    rendered, notes = helm.install("replicas=5", existing=[running])
    assert rendered.environment(rendered.node)["GRIDSESSION_MEMBERS_DECLARED"] == "5"
    assert "WARNING: the grid ran with 3 node(s) and now declares 5" in notes
    assert "refuse writes" in notes


def test_what_a_test_grid_lacks_is_said(helm: Helm) -> None:
    _, notes = helm.install("replicas=1", "networkPolicy.enabled=false")
    assert "one node keeps no copy" in notes
    assert "no network policy" in notes


def test_nodes_keep_apart(helm: Helm) -> None:
    rendered = helm.template()
    labels, pod = rendered.nodes["template"]["metadata"]["labels"], rendered.nodes["template"]["spec"]
    (term,) = pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    (zones,) = pod["topologySpreadConstraints"]
    assert (zones["topologyKey"], zones["maxSkew"]) == ("topology.kubernetes.io/zone", 1)
    assert zones["whenUnsatisfiable"] == "ScheduleAnyway"
    assert selects(term["labelSelector"], labels)
    assert selects(zones["labelSelector"], labels)
    alone = helm.template('spread={"hosts":"none","zones":"none"}').nodes["template"]["spec"]
    assert not alone.keys() & {"affinity", "topologySpreadConstraints"}


def test_another_version_of_the_chart_alone_replaces_no_pod(helm: Helm) -> None:
    for _, template in helm.template("worker.enabled=true").pods():
        assert not template["metadata"]["labels"].keys() & {"helm.sh/chart", "app.kubernetes.io/version"}


def test_the_sample_worker_finds_the_grid(helm: Helm) -> None:
    assert helm.template().of("Deployment") == []
    rendered = helm.template("worker.enabled=true")
    deployment = rendered.one("Deployment", f"{NAME}-worker")["spec"]
    (worker,) = deployment["template"]["spec"]["containers"]
    url = urlsplit(rendered.environment(worker)["GRIDSESSION_URL"])
    join = NodeConfig.from_options(rendered.environment(rendered.node)).join
    assert (url.scheme, url.netloc, url.query) == ("hazelcast", ",".join(join), "ttl=3600")
    assert url.path == f"/{rendered.cluster_name}"
    # as the README tells whoever writes a worker
    written = next(each["value"] for each in worker["env"] if each["name"] == "GRIDSESSION_URL")
    assert f"value: {written.partition('?')[0]}\n" in Path(helm.chart, "README.md").read_text()
    # whether the grid answers decides what is sent to it, not whether it lives
    assert worker["readinessProbe"]["httpGet"]["path"] == "/healthz"
    assert "httpGet" not in worker["livenessProbe"]
    service = rendered.one("Service", f"{NAME}-worker")["spec"]
    assert service["selector"].items() <= deployment["template"]["metadata"]["labels"].items()
    assert not service["selector"].items() <= rendered.nodes["template"]["metadata"]["labels"].items()
