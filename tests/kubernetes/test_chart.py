"""The chart's files agree with each other and with the rest of the project; needs no Helm."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import promql_parser
import pytest

from gridsession._limits import Limits
from gridsession.node.config import NodeConfig
from tests.prometheus import DASHBOARD, alerts, panels

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "kubernetes"
TEMPLATES = "\n".join(each.read_text() for each in sorted((CHART / "templates").iterdir()))
_KEY = re.compile(r"( *)([A-Za-z]\w*):")


def values() -> dict[str, str]:
    """Each value by its path, as `image.tag`, with the line above it; not what Kubernetes' own objects hold."""
    found: dict[str, str] = {}
    path: list[str] = []
    above = ""
    for line in (CHART / "values.yaml").read_text().splitlines():
        if key := _KEY.match(line):
            path = [*path[: len(key[1]) // 2], key[2]]
            if "resources" not in path[:-1]:
                found[".".join(path)] = above
        above = line
    return found


VALUES = values()


@pytest.mark.parametrize("name", VALUES)
def test_each_value_is_documented_in_one_sentence(name: str) -> None:
    said = VALUES[name].strip()
    assert re.fullmatch(r"# [A-Z].{15,}\.", said), f"above {name}: {said!r}"
    assert not re.search(r"[.!?] [A-Z]", said), f"more than a sentence above {name}"


def test_the_schema_knows_each_value_and_no_other() -> None:
    def paths(schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
        for name, inner in schema.get("properties", {}).items():
            yield prefix + name
            yield from paths(inner, f"{prefix}{name}.")
            assert "properties" not in inner or inner["additionalProperties"] is False

    schema = json.loads((CHART / "values.schema.json").read_text())
    # Helm itself adds `global`
    assert set(paths(schema)) - {"global"} == VALUES.keys()
    assert set(schema["properties"]["limits"]["propertyNames"]["enum"]) == {each.name for each in fields(Limits)}


def test_the_templates_use_each_value_and_no_other() -> None:
    used = set(re.findall(r"\.Values\.(\w+(?:\.\w+)*)", TEMPLATES))
    assert used - VALUES.keys() == set()
    assert {name.split(".")[0] for name in VALUES} == {name.split(".")[0] for name in used}


def test_a_node_knows_each_variable_that_it_is_given() -> None:
    given = set(re.findall(r"name: GRIDSESSION_(\w+)$", (CHART / "templates" / "nodes.yaml").read_text(), re.MULTILINE))
    assert {"bind", "join", "members_declared", "memory", "http"} <= {name.lower() for name in given}
    assert {name.lower() for name in given} <= {each.name for each in fields(NodeConfig)} - {"limits", "cores"}


def test_chart_and_package_have_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nappVersion: {project}\n" in (CHART / "Chart.yaml").read_text()


def test_pods_run_as_the_user_of_the_image() -> None:
    (user,) = re.findall(r"^USER (\d+):\1$", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE)
    assert set(re.findall(r"(?:runAsUser|runAsGroup): (\d+)", TEMPLATES)) == {user}


def test_the_sample_worker_is_in_the_image() -> None:
    (path,) = re.findall(r"command: \[python, /opt/example/(.+)\]", (CHART / "values.yaml").read_text())
    assert (ROOT / "deploy" / "example" / path).is_file()
    assert "COPY deploy/example /opt/example" in (ROOT / "deploy" / "Dockerfile").read_text()


def test_each_alert_says_what_is_wrong_and_the_runbook_what_to_do() -> None:
    rules = alerts()
    assert len({rule["alert"] for rule in rules}) == len(rules) > 10
    runbook = (ROOT / "deploy" / "README.md").read_text()
    for rule in rules:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"].endswith(".")
        assert f"| `{rule['alert']}` |" in runbook, "it is not in the runbook"
    assert set(re.findall(r"`(Gridsession\w+)`", runbook)) == {rule["alert"] for rule in rules}


def test_one_grid_that_is_gone_is_missed_though_another_is_there() -> None:
    (gone,) = [each["expr"] for each in alerts() if each["alert"] == "GridsessionGone"]
    promql_parser.parse(gone)
    _, _, one = " ".join(gone.split()).partition(" or ")
    assert re.fullmatch(r"\(count by \(job\) \(.+\[6h\]\)\) unless count by \(job\) \(gridsession_node_alive\)\)", one)


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    board = json.loads(DASHBOARD.read_text())
    names = {variable["name"] for variable in board["templating"]["list"]}
    assert names == {"datasource", "job"}
    seen: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        where = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(where["x"], where["x"] + where["w"])
            for y in range(where["y"], where["y"] + where["h"])
        }
        assert not cells & seen, f"{panel['title']} lies on another"
        assert where["x"] + where["w"] <= 24
        seen |= cells
    for panel in panels():
        assert panel["datasource"]["uid"] == "${datasource}"
        for target in panel["targets"]:
            assert '{job=~"$job"' in target["expr"], f"{panel['title']} shows all grids"
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
