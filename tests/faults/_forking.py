"""A client that forks at SIGHUP, as pre-forking servers do: the child holds all sockets for a while and then ends."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Final

from tests.faults._client import main

_HOLDS_SECONDS: Final = 2.0


def _fork(*_: object) -> None:
    if os.fork() == 0:
        time.sleep(_HOLDS_SECONDS)
        os._exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGHUP, _fork)
    # Its children are nobody's concern.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    sys.exit(main())
