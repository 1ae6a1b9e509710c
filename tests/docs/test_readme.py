"""What README shows is run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_README = (_ROOT / "README.md").read_text(encoding="utf-8")
_BLOCKS = re.findall(r"```python\n(.*?)```", _README, re.DOTALL)


def test_readme_has_python_blocks() -> None:
    """The pattern finds them; otherwise nothing below would run."""
    assert len(_BLOCKS) >= 5


@pytest.mark.parametrize("block", _BLOCKS, ids=range(len(_BLOCKS)))
def test_python_block_runs(block: str) -> None:
    """Each block is a program of its own and its assertions hold."""
    exec(compile(block, "README.md", "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("page", ["README.md", "deploy/README.md", "tests/README.md", ".github/CONTRIBUTING.md"])
def test_relative_links_lead_somewhere(page: str) -> None:
    """Every relative link of a page names a file, and where it names a test, a test that exists."""
    source = _ROOT / page
    for target in re.findall(r"\]\((?!https?:|#)([^)\s]+)\)", source.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        assert (source.parent / path).exists(), f"{page} links to {target}"
        if anchor and path.endswith(".py"):
            assert re.search(rf"(def|class) {anchor}\b", (source.parent / path).read_text(encoding="utf-8")), target
