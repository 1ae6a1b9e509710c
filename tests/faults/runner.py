"""One run: the lab built, clients at work, the plan carried out, every session looked at, and all of it judged."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from tests.faults.copies import compare
from tests.faults.faults import FAULTS, Fault, Planned
from tests.faults.lab import DESK, Lab, NotWhole, Setup
from tests.faults.measure import Window
from tests.faults.place import Grid
from tests.faults.schedule import Episode

PLAN: Final = "plan.json"
_WHOLE_SECONDS: Final = 120.0
_PRELOAD_SECONDS: Final = 1_800.0
_WARM_SECONDS: Final = 3.0
_PEACE_SECONDS: Final = 60.0
# A copy that differs is found again after each heal.
_MOST_COMPLAINTS: Final = 50


@dataclass(slots=True)
class Course:
    """What came of a run before it is judged.

    Attributes:
        episodes: that were carried out.
        windows: one for each fault.
        compared: backups compared with what their owners hold, after each heal.
        kinds: how many faults of each kind.
        whole_after: seconds from the last heal of each episode until all servers were whole, by its first kind.
        complaints: what did not go as the product promises.
        notes: what is worth knowing of the run itself, as clients that did not end.
        seconds: with faults.
        loaded_seconds: it took to fill the place before.
    """

    episodes: list[Episode] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    compared: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    whole_after: list[tuple[str, float]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    loaded_seconds: float = 0.0


class Runner:
    """Carries a run out. Only to be used in a world of its own.

    Args:
        setup: what to build.
        episodes: the plan; may be endless.
        seconds: no episode begins later; None: when the plan is over.
        folder: for histories and logs.
        say: takes a line for the one who watches.
        kinds: of faults that may come.
        at_least: so many answers are waited for when the plan is over, for a minute at most.
    """

    def __init__(
        self,
        setup: Setup,
        episodes: Iterable[Episode],
        seconds: float | None,
        folder: Path,
        say: Callable[[str], None],
        *,
        kinds: Iterable[str],
        at_least: int = 0,
    ) -> None:
        self.setup, self.folder, self._show = setup, folder, say
        self._started = time.monotonic()
        self.course = Course()
        self._episodes, self._seconds = episodes, seconds
        self._eater = any("oom" in names for names in kinds)
        self._at_least = at_least
        self._seen: dict[Path, int] = {}
        self._answered = 0
        self._lock = threading.Lock()

    def run(self) -> Course:
        """From nothing to histories; what was interrupted or never became whole again is in the course too."""
        self.say(f"starting {self.setup.members} servers ({self.setup.place})")
        with Lab(self.setup, self.folder, eater=self._eater) as lab:
            if self.setup.preload:
                self._preload(lab)
            lab.clients.start_all()
            time.sleep(_WARM_SECONDS)
            began = time.monotonic()
            try:
                self._carry_out(lab, began)
                self._go_on(lab)
            except NotWhole as stuck:
                self.course.complaints.append(str(stuck))
            except KeyboardInterrupt:
                self.course.notes.append("ended early, as asked")
            self.course.seconds = time.monotonic() - began
            self._end(lab)
        self._keep_plan()
        return self.course

    def say(self, text: str) -> None:
        """Tells who watches how far it is."""
        self._show(f"{time.monotonic() - self._started:7.1f} s  {self.answered():>9,} answered  {text}")

    def answered(self) -> int:
        """How many calls were answered so far."""
        for path in self.folder.glob("client-*.jsonl"):
            with path.open("rb") as history:
                history.seek(self._seen.get(path, 0))
                while chunk := history.read(1 << 20):
                    self._answered += chunk.count(b'"type":"ok"')
                self._seen[path] = history.tell()
        return self._answered

    def _carry_out(self, lab: Lab, began: float) -> None:
        for episode in self._episodes:
            if self._seconds is not None and time.monotonic() - began >= self._seconds:
                return
            self.course.episodes.append(episode)
            self._keep_plan()
            self._one_episode(lab, episode)
            if died := lab.clients.died():
                self.course.complaints.append(f"{', '.join(died)} ended unasked: see the log of the same name")
                return
            time.sleep(episode.calm)

    def _go_on(self, lab: Lab) -> None:
        """Peace, until so many answers were given as are wanted, or for a minute."""
        ends = time.monotonic() + _PEACE_SECONDS
        while self.answered() < self._at_least and time.monotonic() < ends and not lab.clients.died():
            time.sleep(1.0)

    def _one_episode(self, lab: Lab, episode: Episode) -> None:
        failures: list[BaseException] = []
        returning: list[tuple[Planned, list[str]]] = []
        windows: list[tuple[str, int, int]] = []

        def one(planned: Planned) -> None:
            try:
                windows.append(self._one_fault(lab, planned, returning))
            except BaseException as error:  # noqa: BLE001 - raised where the episode ends
                failures.append(error)

        threads = [threading.Thread(target=one, args=(planned,), daemon=True) for planned in episode.faults]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        try:
            took = lab.wait_whole(_WHOLE_SECONDS)
        finally:
            for planned, targets in returning:
                self._note(lab, planned, "end", targets)
        until = time.monotonic_ns()
        kind = episode.faults[0].kind
        self.course.whole_after.append((kind, took))
        self.course.windows += [Window(*window, until) for window in sorted(windows, key=lambda each: each[1])]
        self.say(f"{'+'.join(each.kind for each in episode.faults)}: healed, whole {took:.1f} s later")
        self._compare(lab)

    def _compare(self, lab: Lab) -> None:
        compared, differences = compare(lab.place.copies())
        self.course.compared += compared
        for difference in differences:
            if len(self.course.complaints) < _MOST_COMPLAINTS:
                self.say(difference)
                self.course.complaints.append(difference)

    def _one_fault(
        self, lab: Lab, planned: Planned, returning: list[tuple[Planned, list[str]]]
    ) -> tuple[str, int, int]:
        time.sleep(planned.after)
        fault: Fault = FAULTS[planned.kind](lab, planned)
        targets = self._named(lab, planned)
        begun = time.monotonic_ns()
        self._note(lab, planned, "start", targets)
        self.say(f"{planned.kind} {','.join(planned.targets)} for {planned.seconds:g} s")
        try:
            fault.start()
            time.sleep(planned.seconds)
        finally:
            fault.heal()
            healed = time.monotonic_ns()
            if fault.restarts:
                returning.append((planned, targets))
            else:
                self._note(lab, planned, "end", targets)
            with self._lock:
                self.course.kinds[planned.kind] += 1
                self.course.complaints += [f"{planned.kind}: {each}" for each in fault.complaints]
        return planned.kind, begun, healed

    @staticmethod
    def _named(lab: Lab, planned: Planned) -> list[str]:
        """The targets as histories know them: clients by their number, which a host's name does not tell."""
        names = {client.host: client.name for client in lab.clients.running}
        return [names.get(target, target) for target in planned.targets]

    def _note(self, lab: Lab, planned: Planned, phase: str, targets: list[str]) -> None:
        with self._lock:
            lab.history.fault(planned.kind, phase, targets, **planned.options)  # type: ignore[arg-type]

    def _end(self, lab: Lab) -> None:
        self.say("ending the clients")
        lab.clients.stop_all()
        self.course.complaints += lab.clients.hung
        try:
            lab.wait_whole(_WHOLE_SECONDS)
        except NotWhole as stuck:
            self.course.complaints.append(str(stuck))
        self._look(lab, 1)
        victim = lab.random.randrange(len(lab.place.hosts))
        if isinstance(lab.place, Grid):
            # What the copies hold shows when they are all there is; Redis promises nothing of the kind.
            lab.history.fault("kill", "start", [lab.hosts[victim]])
            lab.place.hosts[victim].kill()
        self._look(lab, 2)
        if isinstance(lab.place, Grid):
            lab.history.fault("kill", "end", [lab.hosts[victim]])
        for host in lab.place.hosts:
            if host.unasked_ends:
                self.course.notes.append(f"{host.name} ended unasked {host.unasked_ends} times and was started again")

    def _look(self, lab: Lab, number: int) -> None:
        self.say(f"looking at every session, {number} of 2")
        if not lab.clients.look(number, DESK):
            self.course.complaints.append(f"not every session could be looked at: see final-{number}.log")

    def _preload(self, lab: Lab) -> None:
        count = self.setup.preload
        self.say(f"filling in {count} sessions")
        began = time.monotonic()
        command = [sys.executable, "-m", "tests.faults._preload", lab.place.url, str(count)]
        subprocess.run(lab.network.command(DESK, *command), check=True, timeout=_PRELOAD_SECONDS, cwd=lab.tree)
        self.course.loaded_seconds = time.monotonic() - began

    def _keep_plan(self) -> None:
        plan = {"setup": asdict(self.setup), "episodes": [each.to_json() for each in self.course.episodes]}
        (self.folder / PLAN).write_text(json.dumps(plan, indent=1) + "\n", encoding="utf-8")
