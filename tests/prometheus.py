"""The expressions of the alert rules and of the dashboard, and the metrics that they name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import promql_parser

ROOT = Path(__file__).parents[1]
ALERTS = ROOT / "deploy" / "kubernetes" / "alerts.yaml"
DASHBOARD = ROOT / "deploy" / "kubernetes" / "dashboard.json"


def alerts() -> list[dict[str, Any]]:
    """Each alert rule."""
    import yaml  # comes with kubernetes-validate

    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def panels() -> Iterator[dict[str, Any]]:
    """Each panel of the dashboard that shows something."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        if panel["type"] != "row":
            yield panel


def rules() -> list[str]:
    """All expressions, Grafana's variables replaced by what it would put there."""
    shown = [target["expr"] for panel in panels() for target in panel["targets"]]
    filled = (text.replace("$__rate_interval", "1m").replace("$job", ".*") for text in shown)
    return [rule["expr"] for rule in alerts()] + list(filled)


def metrics_in(expressions: Iterable[str]) -> set[tuple[str, frozenset[str]]]:
    """Each metric with the labels by which it is chosen or summed up. An expression that is none raises."""
    found = set()
    for text in expressions:
        promql_parser.parse(text)
        grouped = {label.strip() for labels in re.findall(r"\bby \(([^)]*)\)", text) for label in labels.split(",")}
        for name, chosen in re.findall(r"\b(gridsession_\w+)(\{[^}]*\})?", text):
            labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", chosen))
            found.add((name, frozenset(labels)))
            if f"({name}" in text and grouped and text.count("gridsession_") == 1:
                found.add((name, frozenset(labels | grouped)))
    return found
