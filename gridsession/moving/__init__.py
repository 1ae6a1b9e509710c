"""Moving sessions: from one place of ours to another, and out of what other systems wrote.

`copy` carries every session and every global of one namespace over, whole: revision, epoch, remaining ttl, state, props
and what is remembered (message ids, rate gates); `snapshot` and `restore` do so by a file. `import_sessions` reads what
Bottender, Opengram, JAWCE and aiogram stored. Nothing at the source is ever changed.
"""

from __future__ import annotations

from gridsession.moving._copy import copy
from gridsession.moving._import import import_sessions
from gridsession.moving._report import Progress, Report, Tally
from gridsession.moving._restore import restore
from gridsession.moving._snapshot import Contents, check_snapshot, snapshot, snapshot_keys
from gridsession.moving.sources import SOURCES, Options, Source, open_source

__all__ = [
    "SOURCES",
    "Contents",
    "Options",
    "Progress",
    "Report",
    "Source",
    "Tally",
    "check_snapshot",
    "copy",
    "import_sessions",
    "open_source",
    "restore",
    "snapshot",
    "snapshot_keys",
]
