"""Restart parts that end by themselves: at once, then with growing delays, without a limit.

A part that keeps ending does not stop the others, because the running ones still serve chargers.
"""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from tools.stack.processes import Child

MAX_DELAY_S = 30
STABLE_AFTER_S = 30  # of running, after which the failures of a part are forgotten
MIN_FREE_BYTES = 16 * 2**20  # below which a disk counts as full
LOG_LINES = 3  # that are shown
NO_SPACE = "No space left on device"
# (a text in the last lines of a log that shows a lasting fault, the advice). `{folder}` is the run folder.
ADVICE = (
    ("Address already in use", "Another program uses its port. Stop that program, or choose another port."),
    ("Permission denied", "It lacks the permission for a file. Give this user the permission."),
    (
        "Bad file format reading the append only file",
        "Its data is damaged. Restore {folder}/redis, or remove that folder.",
    ),
    ("could not locate a valid checkpoint record", "Its data is damaged. Restore {folder}/postgres from a backup."),
)


def restart_delay_s(failures: int) -> int:
    """Seconds until the restart of a part that has ended `failures` times in a row: 0, 1, 2, 4 and so on."""
    return min(MAX_DELAY_S, 2 ** (failures - 2)) if failures > 1 else 0


class Restarts:
    """Restarts parts whose data is in `folder`. `settings_error` returns the current error of the settings or ""."""

    def __init__(self, folder: Path, say: Callable[[str], None], settings_error: Callable[[], str]):
        self.folder, self.say, self.settings_error = folder, say, settings_error
        self.was_full = False

    def restart_due(self, children: list[Child]) -> None:
        """Restart the children that are due, and report changes since the last call."""
        self._check_disk()
        for child in children:
            if child.running:
                self._reset_failures(child)
                continue
            if child.due is None:
                child.failures += 1
                child.due = time.monotonic() + restart_delay_s(child.failures)
                self.say(self._report(child))
            if time.monotonic() >= child.due:
                self._start(child)

    def _reset_failures(self, child):
        if child.failures and time.monotonic() - child.started_at > STABLE_AFTER_S:
            if child.failures > 1:
                self.say(f"{child.name} has run for {STABLE_AFTER_S} s now.")
            child.failures = 0

    def _start(self, child):
        try:
            child.start()
        except OSError as error:  # counts as a failure at the next call
            child.due = None
            self.say(f"{child.name} could not be started: {error.strerror} ({error.filename}).")

    def _report(self, child):
        delay_s = restart_delay_s(child.failures)
        repeated = f", {child.failures} times in a row" if child.failures > 1 else ""
        when = f"in {delay_s} s" if delay_s else "now"
        lines = [f"{child.name} ended by itself ({child.ended_with}){repeated}. It is restarted {when}."]
        lines += [f"  Cause: {cause}" for cause in self._causes(child)]
        lines += [f"  Log: {line}" for line in child.last_lines(LOG_LINES)]
        return "\n".join([*lines, f"  The whole log is {child.log}"])

    def _causes(self, child):
        """A list with the known cause and its remedy as sentences, or an empty list."""
        logged = " ".join(child.last_lines(10 * LOG_LINES))
        if self._free() < MIN_FREE_BYTES or NO_SPACE in logged:
            return [self._full()]
        if child.failures > 1 and (error := self.settings_error()):
            return [f"{error} Correct that, stop everything with Ctrl-C, and start it again."]
        return [advice.format(folder=self.folder) for words, advice in ADVICE if words in logged][:1]

    def _check_disk(self):
        is_full = self._free() < MIN_FREE_BYTES
        if is_full and not self.was_full:
            self.say(self._full())
        elif self.was_full and not is_full:
            self.say("The disk has space again.")
        self.was_full = is_full

    def _free(self):
        try:
            return shutil.disk_usage(self.folder).free
        except OSError:  # without the folder, the parts that need it report an error
            return MIN_FREE_BYTES

    def _full(self):
        return (
            f"The disk is full: {self.folder} has {self._free() // 2**20} MiB left. Free space on it; the parts that "
            "wait for it then continue."
        )
