"""pywce takes a manager of ours where it asks for one of its own."""

from __future__ import annotations

import functools
from importlib import import_module
from importlib.util import find_spec

from gridsession.dialects.jawce._interface import ISessionManager


@functools.cache
def accept_in_pywce() -> None:
    """Make our managers instances of pywce's abstract class, if pywce is installed.

    Called when a manager is made: importing gridsession shall not import an engine.
    """
    if find_spec("pywce") is not None:
        try:
            theirs = import_module("pywce")
        except ImportError:
            # Installed without what it needs; who wants it will be told by importing it.
            return
        theirs.ISessionManager.register(ISessionManager)
