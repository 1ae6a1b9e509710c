"""The README's table of features: all of them, and a test behind each that is said to be built."""

from __future__ import annotations

import re
from pathlib import Path

_README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
_ROWS = re.findall(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \|([^|]*)\|$", _README, re.MULTILINE)
FEATURES = 75
"""Rows of the comparison of session systems that this project was drawn up from."""


def test_every_feature_has_its_row() -> None:
    assert [int(number) for number, *_ in _ROWS] == list(range(1, FEATURES + 1))
    assert len({feature for _, feature, *_ in _ROWS}) == FEATURES


def test_what_is_built_is_shown_by_a_test_and_what_is_not_is_said() -> None:
    # That each link leads to a test is checked with all other links of the page.
    for number, _, here, shown in _ROWS:
        links = re.findall(r"\]\(([^)]+)#\w+\)", shown)
        assert bool(links) == (here != "not yet"), number
