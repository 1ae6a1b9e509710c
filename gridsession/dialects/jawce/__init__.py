"""The session managers of JAWCE (Java) and pywce (Python), two WhatsApp engines, over any driver.

::

    manager = SessionManager("hazelcast://host:5701/cluster")
    user = manager.session("263770000000")
    user.save("cart", ["tea"])
    user.clear(retain_keys=["cart"])

`AsyncSessionManager` is the same to be awaited. Names and parameters are pywce's `ISessionManager`, with what the Java
interface has beyond it; `remember` and `allow` are ours, instead of reading and then writing.
"""

from __future__ import annotations

from gridsession.dialects.jawce._blocking import SessionManager
from gridsession.dialects.jawce._defaults import (
    CaffeineSessionManager,
    FileBasedSessionManager,
    HazelcastSessionManager,
    LMDBSessionManager,
)
from gridsession.dialects.jawce._interface import DEFAULT_PROP_KEY, HookModel, ISessionManager
from gridsession.dialects.jawce._manager import AsyncSessionManager

__all__ = [
    "DEFAULT_PROP_KEY",
    "AsyncSessionManager",
    "CaffeineSessionManager",
    "FileBasedSessionManager",
    "HazelcastSessionManager",
    "HookModel",
    "ISessionManager",
    "LMDBSessionManager",
    "SessionManager",
]
