"""Child processes that don't outlive their parent, log to a file, and are waited for until they are ready."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

PR_SET_PDEATHSIG = 1
TAIL = 16 * 1024  # bytes of a log that are looked at for its last lines
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class CannotStart(Exception):
    """One clear sentence: what did not start, why, and what to do."""


def die_with_parent(signal_number):
    """Ask Linux to send `signal_number` to this process when its parent ends, however it ends."""
    if LIBC:
        LIBC.prctl(PR_SET_PDEATHSIG, signal_number)


@dataclass
class Child:
    """One process: `signals` are tried in order until it ends, each for its number of seconds."""

    name: str
    argv: list
    env: dict
    log: Path
    signals: list = field(default_factory=lambda: [(signal.SIGTERM, 5), (signal.SIGKILL, 2)])
    orphan_signal: int = signal.SIGKILL
    pass_fds: tuple = ()
    user: str | None = None
    cwd: Path | None = None
    failures: int = 0  # in a row: it did not run for long between them
    due: float | None = None  # on `time.monotonic()`, when it is started again
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
                # A group of its own: Ctrl-C reaches the parent alone, which stops the others in order.
                process_group=0,
                preexec_fn=lambda: die_with_parent(self.orphan_signal),  # noqa: PLW1509
            )
        self.started_at, self.due = time.monotonic(), None
        return self

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def wait_until(self, ready, seconds=60):
        """Return once `ready()`; raise `CannotStart` with the end of the log if it ends or takes too long."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running:
                raise CannotStart(f"{self.name} ended at once. {self.last_words()}")
            if time.monotonic() > deadline:
                raise CannotStart(f"{self.name} was not ready after {seconds} s. {self.last_words()}")
            time.sleep(0.05)

    @property
    def ended_with(self) -> str:
        """How it ended: its exit code, or the signal that ended it."""
        code = self.process.returncode
        return f"code {code}" if code >= 0 else f"signal {-code}"

    def last_lines(self, most: int) -> list[str]:
        """Up to `most` lines, the last that stand in the log since the last start."""
        if not self.log.exists():
            return []
        with self.log.open("rb") as log:
            log.seek(max(self.logged_at_start, self.log.stat().st_size - TAIL))
            lines = log.read().decode(errors="replace").splitlines()
        return [line.strip() for line in lines if line.strip()][-most:]

    def last_words(self):
        """The log's last line and where to read the rest."""
        said = "".join(f"Its last words: {line} " for line in self.last_lines(1))
        return f"{said}(log: {self.log})"

    def logged(self, text):
        """Whether `text` stands in the log since the last start."""
        return text.encode() in self.log.read_bytes()[self.logged_at_start :]

    def stop(self):
        for signal_number, patience in self.signals:
            if not self.running:
                break
            _signal(self.process.pid, signal_number)
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                continue
        return self.process.returncode if self.process else None


def _signal(pid, signal_number):
    try:
        os.kill(pid, signal_number)
    except ProcessLookupError:
        return
