"""How one method serves both a manager, which is told the session's id, and a view, which knows it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

_KEYS = ("session_id", "key", "prop_key")


def of_session(method: Callable[..., Any]) -> Callable[..., Any]:
    """On a view, let the first argument, `session_id`, be left out.

    The number of arguments tells whether it was; where both readings fit (`get(a, b)` may be id and key, or key and
    type), an id and keys are text and all else is not. A first argument of None is an id that is missing, never
    left out.
    """
    signature = inspect.signature(method)
    most = len(signature.parameters)

    @functools.wraps(method)
    def called(manager: Any, *args: Any, **named: Any) -> Any:
        bound = manager.bound_to
        if bound is None or "session_id" in named or 1 + len(args) + len(named) >= most:
            return method(manager, *args, **named)
        if not _fits(signature, manager, bound, *args, **named):
            return method(manager, *args, **named)
        given = _fits(signature, manager, *args, **named)
        if given and (args[:1] == (None,) or all(isinstance(given[name], str) for name in _KEYS if name in given)):
            return method(manager, *args, **named)
        return method(manager, bound, *args, **named)

    return called


def _fits(signature: inspect.Signature, *args: Any, **named: Any) -> dict[str, Any]:
    try:
        return dict(signature.bind(*args, **named).arguments)
    except TypeError:
        return {}
