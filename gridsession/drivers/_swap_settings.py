"""What compare-and-swap drivers may be told, by arguments or by their URLs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypedDict

from gridsession._limits import Limits
from gridsession.drivers import Address
from gridsession.hooks import Hooks

DEADLINE: Final = 10.0
POLL: Final = 0.25
"""Seconds between two looks of a watch where nothing is pushed."""


class Settings(TypedDict, total=False):
    """What every compare-and-swap driver may be told, beside its own; see `SwapDriver`."""

    deadline: float
    poll: float
    hooks: Hooks | None
    limits: Limits


OPTIONS: Final[Mapping[str, type]] = {"deadline": float, "poll": float}
"""Those of them that a URL may give, and of which kind."""


def chosen(address: Address, kinds: Mapping[str, type]) -> dict[str, Any]:
    """The options of these names that a URL gives.

    Raises:
        InvalidOption: one is not of its kind.
    """
    return {name: address.option(name, kind, None) for name, kind in kinds.items() if name in address.options}
