"""An adapter whose framework is not installed says what to install; gridsession itself asks for none of them."""

from __future__ import annotations

import subprocess
import sys

import pytest

EXTRAS = {
    "aiogram": ("aiogram", "aiogram"),
    "key_value": ("key_value", "key-value"),
    "langgraph": ("langgraph", "langgraph"),
    "openai_agents": ("agents", "openai-agents"),
    "pydantic_ai": ("pydantic_ai", "pydantic-ai"),
    "python_telegram_bot": ("telegram", "python-telegram-bot"),
}


@pytest.mark.parametrize("dialect", EXTRAS)
def test_without_the_framework_the_error_names_the_extra(dialect: str) -> None:
    package, extra = EXTRAS[dialect]
    program = f"import sys; sys.modules[{package!r}] = None; import gridsession.dialects.{dialect}"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 1
    assert f"ImportError: gridsession.dialects.{dialect} needs" in run.stderr
    assert f"pip install 'gridsession[{extra}]'" in run.stderr


def test_gridsession_itself_imports_no_framework() -> None:
    program = "import sys, gridsession, gridsession.sync, gridsession.dialects; print(*sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {package for package, _ in EXTRAS.values()} & set(run.stdout.split())
