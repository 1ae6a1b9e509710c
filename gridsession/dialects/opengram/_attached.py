"""How a property is put on a context, and which ones are."""

from __future__ import annotations

import functools
from abc import ABCMeta
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from gridsession.dialects.opengram._context import has, part
from gridsession.dialects.opengram._held import View
from gridsession.errors import UsageError

_attached: ContextVar[tuple[Attached, ...]] = ContextVar("gridsession.opengram.attached", default=())
"""What the middlewares around the running code put on their contexts, innermost last."""


class Attached:
    """A view that was put on a context.

    An instance of an ordinary class gets a true property, seen by this instance only, as Opengram defines one: it
    becomes an instance of a subclass that has it. A mapping gets an item, and what allows no property (a namespace, a
    frozen model) a plain attribute: there `settle` sees afterwards what was assigned.
    """

    def __init__(self, ctx: Any, name: str, view: View) -> None:
        self.ctx = ctx
        self.name = name
        self.view = view
        self._is_property = False
        if isinstance(ctx, MutableMapping):
            ctx[name] = view.data
        elif _gives_property(ctx, name):
            self._is_property = True
            ctx.__dict__[name] = view
        else:
            _set_attribute(ctx, name, view.data)

    def settle(self) -> None:
        """Take over what was assigned to an item or a plain attribute, and put the session back there.

        Raises:
            InvalidValue: neither a mapping nor None was assigned.
            UsageError: there is no session to assign to.
        """
        if self._is_property or not has(self.ctx, self.name):
            return
        found = part(self.ctx, self.name)
        if found is not self.view.data:
            if isinstance(self.ctx, MutableMapping):
                self.ctx[self.name] = self.view.data
            else:
                _set_attribute(self.ctx, self.name, self.view.data)
            self.view.assign(found)


@contextmanager
def attached(ctx: object, name: str, view: View) -> Iterator[Attached]:
    """A view on a context, known to whatever runs inside; it stays there afterwards, to warn who uses it late."""
    one = Attached(ctx, name, view)
    token = _attached.set((*_attached.get(), one))
    try:
        yield one
    finally:
        _attached.reset(token)


def attached_to(ctx: object) -> tuple[Attached, ...]:
    """What the middlewares around the running code put on this very context."""
    return tuple(one for one in _attached.get() if one.ctx is ctx)


class _Property:
    """The property itself; its view is in the instance's own dict, under the property's name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        view: View = instance.__dict__[self._name]
        return view.read()

    def __set__(self, instance: Any, value: object) -> None:
        view: View = instance.__dict__[self._name]
        view.assign(value)


@functools.lru_cache(maxsize=1024)
def _with_property(kind: Any, name: str) -> type:
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__, "__slots__": ()}
    made: type = type(kind)(kind.__name__, (kind,), {**names, name: _Property(name)})
    return made


def _gives_property(ctx: Any, name: str) -> bool:
    kind: Any = type(ctx)
    if isinstance(kind.__dict__.get(name), _Property) or isinstance(getattr(kind, name, None), _Property):
        return True
    # Others' metaclasses and hooks for subclasses do what they like when a class is made.
    plain = type(kind) in (type, ABCMeta) and not hasattr(kind.__init_subclass__, "__func__")
    if not plain or not hasattr(ctx, "__dict__"):
        return False
    try:
        object.__setattr__(ctx, "__class__", _with_property(kind, name))
    except TypeError:
        return False
    return True


def _set_attribute(ctx: Any, name: str, value: object) -> None:
    try:
        # Past a frozen model's own refusal: what is added here is no field of it.
        object.__setattr__(ctx, name, value)
    except (AttributeError, TypeError):
        raise UsageError(
            f"a {type(ctx).__name__} cannot carry {name!r}: hand in Context(update) from gridsession.dialects.opengram"
        ) from None
