"""What the drivers of one host share: a directory, the host's clock, and a thread wherever the disk is waited for."""

from __future__ import annotations

import asyncio
import functools
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, ParamSpec, Self, TypeVar, Unpack
from urllib.parse import unquote

from gridsession.drivers import Address, Promise, Reach
from gridsession.drivers._clock import host_clock
from gridsession.drivers._swap import OPTIONS, Settings, SwapDriver, chosen
from gridsession.errors import InvalidOption, Unavailable
from gridsession.hooks import Hooks

P = ParamSpec("P")
T = TypeVar("T")


class HostDriver(SwapDriver):
    """A compare-and-swap driver over a directory, shared by the processes of one host.

    Args:
        directory: made if it is not there.
        fsync: wait for the disk before a change is acknowledged; then it survives the loss of power too.
        clock: milliseconds since 1970; all processes that share the directory must agree on it.
        deadline, poll, hooks, limits: see `SwapDriver`.
    """

    promise: ClassVar[Promise] = Promise(
        atomic=Reach.HOST,
        survives=("the death of the process", "with fsync=true: the loss of power"),
        expires_within=30.0,
        own_clock=True,
        pushes=False,
        tells_within=3.0,
    )
    options: ClassVar[Mapping[str, type]] = {"fsync": bool}
    """Names and kinds of the URL's options that are this driver's own."""
    sweep_every = 30.0

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        fsync: bool = False,
        clock: Callable[[], int] = host_clock,
        **settings: Unpack[Settings],
    ) -> None:
        super().__init__(**settings)
        self._directory = Path(directory)
        self._fsync = self.waits = self.ships_again = fsync
        self._clock = clock
        self._writes: set[asyncio.Future[Any]] = set()

    @classmethod
    def from_address(cls, address: Address, hooks: Hooks) -> Self:
        """See `Driver.from_address`; options are `deadline`, `poll` (seconds) and those of the class."""
        kinds = {**cls.options, **OPTIONS}
        address.only(*kinds)
        return cls(directory_of(address), hooks=hooks, **chosen(address, kinds))

    def now(self) -> int:
        """The host's clock, or the one handed in."""
        return self._clock()

    async def written(self, write: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
        """What `write` returns; on a thread if it waits for the disk, else at once: a thread would cost more."""
        if not self._fsync:
            return write(*args, **more)
        # A thread cannot be cancelled, so it is seen to its end even if nobody waits for its answer any more.
        work = asyncio.get_running_loop().run_in_executor(None, functools.partial(write, *args, **more))
        self._writes.add(work)
        work.add_done_callback(self._writes.discard)
        return await asyncio.shield(work)

    async def close(self) -> None:
        """Wait for what is being written: nothing of it may be closed under its hands."""
        while self._writes:
            await asyncio.wait(self._writes)


def directory_of(address: Address) -> Path:
    """The directory that a URL names.

    Raises:
        InvalidOption: none, or one that looks like a host.
    """
    text = unquote(address.location)
    if sys.platform == "win32":
        text = re.sub(r"^/([A-Za-z]:)", r"\1", text)
    if not text or not (Path(text).is_absolute() or text.startswith(".")):
        scheme = address.scheme
        raise InvalidOption(f"write the place as {scheme}:///absolute/directory or {scheme}://./relative/directory")
    return Path(text)


def unusable(path: Path | str, reason: str) -> Unavailable:
    """The error of a disk that refuses."""
    return Unavailable(
        f"{path}: {reason}; nothing was changed: see to the disk, or to the rights of this process", address=str(path)
    )
