"""The compose file's optional Prometheus; needs no engine."""

from __future__ import annotations

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_prometheus_reads_every_node_of_the_compose_file_and_has_the_alerts() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    prometheus = services["prometheus"]
    assert prometheus["profiles"] == ["prometheus"], "plain `docker compose up` starts none"
    assert all(port.startswith("127.0.0.1:") for port in prometheus["ports"])
    mounted = {inside: ROOT / outside for outside, inside, _ in (each.split(":") for each in prometheus["volumes"])}
    told = yaml.safe_load(mounted["/etc/prometheus/prometheus.yml"].read_text())
    (scraped,) = told["scrape_configs"]
    targets = scraped["static_configs"][0]["targets"]
    nodes = {name for name in services if name.startswith("node")}
    assert {target.partition(":")[0] for target in targets} == nodes
    for target in targets:
        name, _, port = target.partition(":")
        assert services[name]["environment"]["GRIDSESSION_HTTP"] == f"0.0.0.0:{port}"
        assert "ports" not in services[name], "a node's port is published"
    assert scraped["honor_labels"] is True
    for file in told["rule_files"]:
        assert mounted[file].is_file()
