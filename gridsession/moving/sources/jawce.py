"""JAWCE's file sessions: `<id>.session`, one JSON object per user, and `global.session`. They know no expiry."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from gridsession.moving.sources import Corrupt, Found, Item, Options
from gridsession.moving.sources._text import Unreadable, content, directory, files, host_now, mapping

_PROPS: Final = ("kUserProps", "jProps", "pywce_prop_key")
_GLOBAL: Final = "global"
_MINUTE: Final = 60_000


async def from_files(place: str, options: Options) -> AsyncIterator[Found]:
    """The props, a nested object under one of three names, become the props; all else the state.

    With `expires_in`, the file's time of change counts as the last activity.
    """
    async for path in files(directory(place), ".session"):
        try:
            found = mapping(await content(path))
            changed = path.stat().st_mtime_ns // 1_000_000
        except (Unreadable, OSError) as error:
            reason = str(error) if isinstance(error, Unreadable) else "its file cannot be read"
            yield Corrupt(path.name, reason)
            continue
        if path.stem == _GLOBAL:
            for name, value in found.items():
                yield Item(f"{path.name} {name}", name, {"value": value}, kind="globals")
            continue
        nested = [found[name] for name in _PROPS if name in found]
        if not all(isinstance(props, dict) for props in nested):
            yield Corrupt(path.name, "its props are not an object")
            continue
        state = {name: value for name, value in found.items() if name not in _PROPS}
        props = {name: value for each in nested for name, value in each.items()}
        item = Item(path.name, f"whatsapp-cloud:{path.stem}", state, props)
        if options.expires_in is not None:
            ttl = round(options.expires_in * _MINUTE)
            item = item._replace(left=changed + ttl - host_now(), ttl=ttl)
        yield item


READERS: Final = {"file": from_files}
