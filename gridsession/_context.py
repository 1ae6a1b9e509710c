"""Part of the rules: where one application of a command stands, and its answer."""

from __future__ import annotations

from typing import NamedTuple

from gridsession._commands import Want
from gridsession._limits import Limits
from gridsession._record import Fields, Record
from gridsession._reply import Grant, Life, Reply, Result, Status

Applied = tuple[Record | None, Reply]


class Context(NamedTuple):
    """One application: the record that came in, what it looks like now, and where it stands."""

    stored: Record | None
    base: Record
    now: int
    id: str
    limits: Limits

    def answer(
        self,
        status: Status,
        record: Record | None = None,
        *,
        want: Want = Want.NOTHING,
        bags: tuple[Fields | None, Fields | None, Fields | None] | None = None,
        grant: Grant | None = None,
        index: int = -1,
        results: tuple[Result, ...] = (),
        seen: bool = False,
    ) -> Applied:
        """The reply about `record` (what is to be stored now), or about the record as it was."""
        shown = record if record is not None else self.base
        life = None
        if shown.live and want is not Want.NOTHING:
            life = Life(shown.created, shown.ttl, shown.max_lifetime, shown.expires_at)
        if bags is None:
            bags = (shown.bags[0], shown.bags[1], None) if shown.live and want is Want.RECORD else (None, None, None)
        reply = Reply(
            status,
            self.id,
            self.now,
            shown.epoch,
            shown.revision,
            present=shown.live,
            seen=seen,
            life=life,
            grant=grant,
            index=index,
            results=results,
            bags=bags,
        )
        return (self.stored if record is None else record), reply
