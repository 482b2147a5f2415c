"""What ended by itself is started again: at once, then after pauses that grow, for as long as it takes.

One part that keeps ending is no reason to end the others: chargers are served by those that run.
"""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from config.stack.processes import Child

LONGEST_PAUSE_S = 30
SETTLED_S = 30  # after which a part that runs has not failed in a row any more
FULL = 16 * 2**20  # bytes free, below which a disk is full
LINES = 3  # of the log that are shown
NO_SPACE = "No space left on device"
# What stands in the last lines of a part that will end again and again, and what to do. A `{folder}` is its data.
ADVICE = (
    ("Address already in use", "Another program uses its port: stop that program, or choose another port."),
    ("Permission denied", "It may not use a file: give the user of this program the right to."),
    ("Bad file format reading the append only file", "Its data is damaged: restore {folder}/redis, or remove it."),
    ("could not locate a valid checkpoint record", "Its data is damaged: restore {folder}/postgres from a backup."),
)


def pause_s(failures: int) -> int:
    """Seconds until a part is started again that has ended `failures` times in a row: 0, 1, 2, 4 and so on."""
    return min(LONGEST_PAUSE_S, 2 ** (failures - 2)) if failures > 1 else 0


class Restarts:
    """Of the parts whose data is in `folder`. `objection` is what is wrong with the settings now, "" for nothing."""

    def __init__(self, folder: Path, say: Callable[[str], None], objection: Callable[[], str]):
        self.folder, self.say, self.objection = folder, say, objection
        self.was_full = False

    def look_after(self, children: list[Child]) -> None:
        """Start what is due, and say what has happened since the last call."""
        self._look_at_disk()
        for child in children:
            if child.running:
                self._note_settled(child)
                continue
            if child.due is None:
                child.failures += 1
                child.due = time.monotonic() + pause_s(child.failures)
                self.say(self._told(child))
            if time.monotonic() >= child.due:
                self._start(child)

    def _note_settled(self, child):
        if child.failures and time.monotonic() - child.started_at > SETTLED_S:
            if child.failures > 1:
                self.say(f"{child.name} has run for {SETTLED_S} s now.")
            child.failures = 0

    def _start(self, child):
        try:
            child.start()
        except OSError as error:  # which counts as one more end of it
            child.due = None
            self.say(f"{child.name} could not be started: {error.strerror} ({error.filename}).")

    def _told(self, child):
        pause = pause_s(child.failures)
        often = f", {child.failures} times in a row" if child.failures > 1 else ""
        when = f"in {pause} s" if pause else "now"
        lines = [f"{child.name} ended by itself ({child.ended_with}){often}. It is started again {when}."]
        lines += [f"  Why: {why}" for why in self._why(child)]
        lines += [f"  Its log: {line}" for line in child.last_lines(LINES)]
        return "\n".join([*lines, f"  All of it is in {child.log}"])

    def _why(self, child):
        """At most one sentence, where it is known why."""
        logged = " ".join(child.last_lines(10 * LINES))
        if self._free() < FULL or NO_SPACE in logged:
            return [self._full()]
        if child.failures > 1 and (objection := self.objection()):
            return [f"{objection} Correct that, stop everything with Ctrl-C, and start it again."]
        return [advice.format(folder=self.folder) for words, advice in ADVICE if words in logged][:1]

    def _look_at_disk(self):
        is_full = self._free() < FULL
        if is_full and not self.was_full:
            self.say(self._full())
        elif self.was_full and not is_full:
            self.say("The disk has space again.")
        self.was_full = is_full

    def _free(self):
        try:
            return shutil.disk_usage(self.folder).free
        except OSError:  # the folder is gone; what needs it says so
            return FULL

    def _full(self):
        return (
            f"The disk is full: {self.folder} has {self._free() // 2**20} MiB left. Free space on it; what waits for "
            "it then goes on by itself."
        )
