"""The adapter on every minor release it names: its conversations and data on memory, with that release's wheel."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import telegram

from gridsession.dialects.python_telegram_bot import TESTED

pytestmark = pytest.mark.frameworks

WHEELS = {
    (22, 0): "23237f778655e634f08cfebbada96ed3692c2bdd3c20c122e90a6d606d6a4516",
    (22, 1): "71afd091fde9037ac44728c2768eb958682140dcc350900a191da0e9cef319d3",
    (22, 2): "234b933f960c534ffb2679f4d1e937bae24b4ac1c4767b6b03754bd38640cec0",
    (22, 3): "88fab2d1652dbfd5379552e8b904d86173c524fdb9270d3a8685f599ffe0299f",
    (22, 4): "5f73d6501fbe9118424dd04213311efec1b442e81a4900f8816102601c83685c",
    (22, 5): "4b7cd365344a7dce54312cc4520d7fa898b44d1a0e5f8c74b5bd9b540d035d16",
    (22, 6): "e598fe171c3dde2dfd0f001619ee9110eece66761a677b34719fb18934935ce0",
    (22, 7): "d72eed532cf763758cd9331b57a6d790aff0bb4d37d8f4e92149436fe21c6475",
}
"""Older releases, by SHA-256; the newest one is installed, and all other tests run on it."""
TESTS = [str(Path(__file__).with_name(name)) for name in ("test_conversations.py", "test_data.py")]
ROOT = Path(__file__).parents[3]


def test_every_release_the_adapter_names_is_tested() -> None:
    assert {*WHEELS, tuple(telegram.__version_info__[:2])} == set(TESTED)


@pytest.mark.parametrize("release", sorted(WHEELS), ids=lambda release: ".".join(map(str, release)))
def test_it_works_on(release: tuple[int, int], pytestconfig: pytest.Config, tmp_path: Path) -> None:
    version = ".".join(map(str, release))
    assert pytestconfig.cache is not None
    kept = pytestconfig.cache.mkdir(f"python-telegram-bot-{version}-{WHEELS[release][:12]}")
    if not list(kept.glob("*.whl")):
        wanted = tmp_path / "requirements.txt"
        wanted.write_text(f"python-telegram-bot=={version} --hash=sha256:{WHEELS[release]}\n", "utf-8")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        subprocess.run([*pip, "--require-hashes", "--requirement", str(wanted), "--dest", str(kept)], check=True)
    (wheel,) = kept.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(tmp_path / "release")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "release"), "PTB_RELEASE": version}
    command = [sys.executable, "-m", "pytest", "-m", "frameworks", *TESTS, "-k", "memory or start", "-q"]
    run = subprocess.run(
        [*command, "-p", "no:cacheprovider"], cwd=ROOT, env=environment, text=True, capture_output=True
    )
    assert run.returncode == 0, run.stdout + run.stderr
