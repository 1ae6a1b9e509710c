"""Sessions for chatbots that run on many machines. See README.md, and `SessionStore.open` to begin."""

from __future__ import annotations

from gridsession import errors, operations
from gridsession._expiry import ExpiredSession
from gridsession._globals import Globals
from gridsession._identity import SessionId
from gridsession._leases import LeaseState
from gridsession._session import KEEP, RESTART, Bag, Session
from gridsession._snapshot import Revision, Snapshot
from gridsession._store import SessionChange, SessionStore
from gridsession._turn import Turn
from gridsession.operations import ABSENT
from gridsession.policy import Policy

__all__ = [
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
