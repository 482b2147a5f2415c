"""Which parts this process depends on work, and what is wrong with the others.

Whoever asks within SHARED_S seconds is told the same look: those who need no login make no load by asking.
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field

from django.http import HttpRequest

from chargers import diagnosis
from chargers.diagnosis import DATABASE, DISK_FULL, FAILING, FULL, HANGING, REDIS, Fault
from config import probes

logger = logging.getLogger(__name__)

PATIENCE_S = 5.0  # for which a part is waited for
SHARED_S = 1.0  # for which a look is told again
PAGES_AGE_S, PAGES_PATIENCE_S = 5.0, 1.0  # how old a look may be that a page shows, and how long it waits for one
NEARLY_FULL, NOT_WRITABLE, NOT_MIGRATED = "nearly_full", "not_writable", "not_migrated"
WAITING, MISSING = "waiting", "missing"

MIGRATIONS = {
    NOT_MIGRATED: Fault(
        "The database lacks migrations of this version.",
        "Run `python manage.py migrate`; the log names those that are missing.",
    ),
    HANGING: DATABASE[HANGING],
}
DISK = {
    FULL: Fault("The disk of {server} is full.", "Free space on it. Files can't be stored meanwhile."),
    NEARLY_FULL: Fault(
        f"The disk of {{server}} has less than {probes.NEARLY_FULL // 2**20} MiB free.",
        "Free space on it, or enlarge it.",
    ),
    NOT_WRITABLE: Fault(
        "This process can't write into {server}.", "Give its user the right to, or name another one in {variable}."
    ),
    HANGING: Fault("The disk of {server} does not answer in time.", "Look at it, or at the file server it is on."),
}
INBOX = {
    WAITING: Fault(
        f"A message of a charger has been unanswered for more than {probes.LONGEST_WAIT_S:.0f} s.",
        "Look at pg_stat_activity and pg_locks: another session may have locked its rows. The log of this process "
        "says what it waits for.",
    ),
    HANGING: DATABASE[HANGING],
}
WORKER = {
    MISSING: Fault(
        "No Celery worker has been heard of for half a minute.",
        "Start one, and read its log if it ends. Commands are taken and wait meanwhile.",
    ),
    HANGING: REDIS[HANGING],
}
BEAT = {
    MISSING: Fault(
        "Celery beat has not been heard of for half a minute.",
        "Start it, once for all machines. Meanwhile nothing that is past its retention is deleted.",
    ),
    HANGING: REDIS[HANGING],
}


@dataclass(frozen=True)
class Problem:
    """Of one part: `fault` is a word, the others are sentences. It names variables and programs, never hosts."""

    part: str
    fault: str
    wrong: str
    where: str
    what_to_do: str
    is_warning: bool
    error: str = field(compare=False)  # for the log alone: it may name a host


@dataclass
class Part:
    """Something this process depends on. `probe` raises where it does not work; `told_apart` makes a key of `faults`
    of what was raised. Of these, `warnings` leave this process able to do its work."""

    name: str
    probe: Callable[[], None]
    told_apart: Callable[[BaseException], str | None]
    faults: dict[str, Fault]
    server: str
    where: str
    variable: str = ""
    warnings: tuple[str, ...] = ()
    running: Future | None = None

    def begin(self) -> None:
        """Probe it in a thread of its own. Where the former probe still hangs, none is added to it."""
        if self.running is None or self.running.done():
            self.running = _in_thread(self.probe)

    def problem(self, deadline: float) -> Problem | None:
        """What is wrong, once the probe is over or `time.monotonic()` is `deadline`."""
        try:
            error = self.running.exception(max(0.0, deadline - time.monotonic()))
        except TimeoutError as late:
            error = late
        return self._told(error) if error else None

    def _told(self, error):
        name = self.told_apart(error) or FAILING
        fault, words = self.faults[name], {"server": self.server, "variable": self.variable}
        wrong, what_to_do = fault.wrong.format(**words), fault.what_to_do.format(**words)
        said = " ".join(f"{type(error).__name__}: {error}".split())
        return Problem(self.name, name, wrong, self.where, what_to_do, name in self.warnings, said)


def _in_thread(do):
    """The future of `do()`, in a daemon thread: one that hangs must not keep this process from ending."""
    future = Future()

    def run():
        try:
            future.set_result(do())
        except Exception as error:  # noqa: BLE001  (whoever waits is told)
            future.set_exception(error)

    threading.Thread(target=run, name="readiness", daemon=True).start()
    return future


# --- the parts -------------------------------------------------------------------------------


def _of_disk(error):
    if isinstance(error, probes.NearlyFull):
        return NEARLY_FULL
    if isinstance(error, TimeoutError):
        return HANGING
    return FULL if getattr(error, "errno", None) in DISK_FULL else NOT_WRITABLE


def _only(fault):
    return lambda error: HANGING if isinstance(error, TimeoutError) else fault


def _server(name, probe, told_apart, faults, server, variable):
    return Part(name, probe, told_apart, faults, server, f"The server that {variable} names.", variable)


def _disk(name, probe, folder, variable):
    where = f"The disk of {folder}, which {variable} names."
    return Part(name, probe, _of_disk, DISK, folder, where, variable, warnings=(NEARLY_FULL, NOT_WRITABLE))


def _program(name, probe, faults):
    where = f"The program `python -m config.stack {name}`."
    return Part(name, probe, _only(MISSING), faults, "Redis", where, "REDIS_URL", warnings=(MISSING, HANGING))


# Looked at side by side.
APART = (
    _server("database", probes.write_to_database, diagnosis.of_database, DATABASE, "PostgreSQL", "DATABASE_URL"),
    _server("redis", probes.write_to_redis, diagnosis.of_redis, REDIS, "Redis", "REDIS_URL"),
    _server("broker", probes.write_to_broker, diagnosis.of_redis, REDIS, "The message broker", "BROKER_URL"),
    _disk("files_disk", probes.write_file, "the folder for files", "FILES_DIR"),
    _disk("temporary_disk", probes.write_temporary_file, "the folder for temporary files", "TMPDIR"),
    Part("inbox", probes.look_at_inbox, _only(WAITING), INBOX, "It", "This process.", warnings=(WAITING, HANGING)),
)
# Looked at where the part that is needed for it works: one that is unavailable is told of once.
AFTERWARDS = (
    (
        "database",
        Part(
            *("migrations", probes.migrations.look, _only(NOT_MIGRATED), MIGRATIONS),
            *("PostgreSQL", "The database that DATABASE_URL names."),
        ),
    ),
    ("redis", _program("worker", probes.hear_worker, WORKER)),
    ("redis", _program("beat", probes.hear_beat, BEAT)),
)
PARTS = (*APART, *(part for _, part in AFTERWARDS))


def look() -> list[Problem]:
    """What is wrong with all parts now; it takes some milliseconds, 2 * PATIENCE_S at most."""
    problems = _problems(APART)
    broken = {problem.part for problem in problems}
    return problems + _problems([part for needed, part in AFTERWARDS if needed not in broken])


def _problems(parts):
    deadline = time.monotonic() + PATIENCE_S
    for part in parts:
        part.begin()
    return [problem for part in parts if (problem := part.problem(deadline))]


class Newest:
    """The newest look, taken in a thread of its own when somebody asks and the former one is too old."""

    def __init__(self):
        self.lock = threading.Lock()
        self.looking, self.taken_at, self.problems = None, -math.inf, []

    def told(self, age_s: float = SHARED_S, patience_s: float = 3 * PATIENCE_S) -> list[Problem]:
        """What a look found that is at most `age_s` seconds old, or the one before where it takes longer than
        `patience_s`."""
        with self.lock:
            is_over = self.looking is None or self.looking.done()
            if is_over and time.monotonic() - self.taken_at >= age_s:
                self.looking = _in_thread(self._look)
            looking = self.looking
        wait([looking], patience_s)
        if looking.done():
            looking.result()  # which raises where this module has a fault
        return self.problems

    def _look(self):
        problems = look()
        _log_changes(self.problems, problems)
        self.problems, self.taken_at = problems, time.monotonic()


newest = Newest()


def problems() -> list[Problem]:
    """What keeps this process from its work, for pages: they rather show what is some seconds old than wait."""
    return [problem for problem in newest.told(PAGES_AGE_S, PAGES_PATIENCE_S) if not problem.is_warning]


def shown(request: HttpRequest) -> dict[str, Callable[[], list[Problem]]]:
    """Context processor: `faults`, which are looked for where a template has a place for them."""
    return {"faults": problems}


def _log_changes(before, now):
    """A line when something has begun or ended, not at each look."""
    for problem in now:
        if problem not in before:
            level = logging.INFO if problem.is_warning else logging.WARNING
            logger.log(level, "%s %s %s (%s)", problem.wrong, problem.where, problem.what_to_do, problem.error)
    for part in sorted({problem.part for problem in before} - {problem.part for problem in now}):
        logger.info("%s works again.", part)
