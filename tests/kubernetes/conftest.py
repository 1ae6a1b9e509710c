"""Helm, built once from its Go module and kept in the user's cache folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.kubernetes.chart import Helm

MODULE, VERSION = "helm.sh/helm/v3/cmd/helm", "v3.22.0"
KUBERNETES = "34"
"""Minor version of the cluster that Helm supposes; its own build scripts set it in the same way."""


@pytest.fixture(scope="session")
def helm(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm and our chart; a visible skip where there is no Go to build it with, a failure under CI=true."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    program = cache / "gridsession-tests" / f"helm-{VERSION}-kubernetes-1.{KUBERNETES}" / "helm"
    if not program.exists():
        if not shutil.which("go"):
            missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
            missing("no Go on PATH to build Helm with")
        _build(program)
    return Helm(program, pytestconfig.rootpath / "deploy" / "kubernetes", tmp_path_factory.mktemp("helm"))


def _build(program: Path) -> None:
    program.parent.mkdir(parents=True, exist_ok=True)
    supposed = [
        f"-X helm.sh/helm/v3/{package}.k8sVersion{part}={value}"
        for package in ("pkg/chartutil", "pkg/lint/rules")
        for part, value in (("Major", "1"), ("Minor", KUBERNETES))
    ]
    with tempfile.TemporaryDirectory(dir=program.parent) as folder:
        subprocess.run(
            ["go", "install", "-trimpath", "-ldflags", " ".join(["-s", "-w", *supposed]), f"{MODULE}@{VERSION}"],
            env=os.environ | {"GOBIN": folder, "GOFLAGS": "-buildvcs=false"},
            timeout=1500,
            check=True,
        )
        # whole or not at all: another run may look for it meanwhile
        Path(folder, "helm").replace(program)
