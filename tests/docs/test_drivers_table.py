"""The README's table of drivers is what the drivers promise."""

from __future__ import annotations

from pathlib import Path

from tests.docs.drivers_table import rows


def test_the_readme_holds_the_table_of_the_drivers_own_data() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert "\n".join(rows()) in readme, "run `python -m tests.docs.drivers_table` and put its lines into README.md"
