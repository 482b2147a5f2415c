"""Child processes that log to a file, become ready before the next one starts, and end with their parent."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

PR_SET_PDEATHSIG = 1
TAIL_BYTES = 16 * 1024  # of a log, in which its last lines are searched
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class CannotStart(Exception):
    """A part cannot start. The message has the part, the reason and the remedy."""


def die_with_parent(signal_number):
    """Make Linux send `signal_number` to this process when its parent ends for any reason."""
    if LIBC:
        LIBC.prctl(PR_SET_PDEATHSIG, signal_number)


@dataclass
class Child:
    """A child process. `stop` sends `signals` in order, and waits the seconds of each for the process to end."""

    name: str
    argv: list
    env: dict
    log: Path
    signals: list = field(default_factory=lambda: [(signal.SIGTERM, 5), (signal.SIGKILL, 2)])
    orphan_signal: int = signal.SIGKILL
    pass_fds: tuple = ()
    user: str | None = None
    cwd: Path | None = None
    failures: int = 0  # in a row, without a long run between them
    due: float | None = None  # the time of its restart by `time.monotonic()`
    logged_at_start: int = 0
    process: subprocess.Popen | None = None
    started_at: float = 0.0

    def start(self):
        self.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.logged_at_start = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=self.pass_fds,
                user=self.user,
                cwd=self.cwd,
                # Its own group, so that Ctrl-C reaches only the parent, which stops the others in order.
                process_group=0,
                preexec_fn=lambda: die_with_parent(self.orphan_signal),  # noqa: PLW1509
            )
        self.started_at, self.due = time.monotonic(), None
        return self

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def wait_until(self, ready, seconds=60):
        """Wait until `ready()`. Raise `CannotStart` with the end of the log if it ends or takes too long."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running:
                raise CannotStart(f"{self.name} ended at once. {self.log_hint()}")
            if time.monotonic() > deadline:
                raise CannotStart(f"{self.name} was not ready after {seconds} s. {self.log_hint()}")
            time.sleep(0.05)

    @property
    def ended_with(self) -> str:
        """The exit code, or the signal that ended it."""
        assert self.process is not None  # it was started
        code = self.process.returncode
        return f"code {code}" if code >= 0 else f"signal {-code}"

    def last_lines(self, limit: int) -> list[str]:
        """The last lines of the log since the last start, at most `limit`."""
        if not self.log.exists():
            return []
        with self.log.open("rb") as log:
            log.seek(max(self.logged_at_start, self.log.stat().st_size - TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
        return [line.strip() for line in lines if line.strip()][-limit:]

    def log_hint(self):
        """The last line of the log, and the path of the log."""
        last_line = "".join(f"The last line of its log: {line} " for line in self.last_lines(1))
        return f"{last_line}(log: {self.log})"

    def logged(self, text):
        """Whether the log has contained `text` since the last start."""
        return text.encode() in self.log.read_bytes()[self.logged_at_start :]

    def stop(self):
        for signal_number, timeout_s in self.signals:
            if not self.running:
                break
            _signal(self.process.pid, signal_number)
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                continue
        return self.process.returncode if self.process else None


def _signal(pid, signal_number):
    try:
        os.kill(pid, signal_number)
    except ProcessLookupError:
        return
