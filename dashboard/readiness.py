"""Readiness: check the parts on which this process depends, and describe the problems of those that fail.

Requests within SHARED_S seconds share one check, so that requests without a login cause no load.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest

from core.db.faults import FAILING, FULL, HANGING
from core.observability import diagnosis
from core.observability.diagnosis import DATABASE, DISK_FULL, REDIS, Fault
from dashboard import probes

logger = logging.getLogger(__name__)

PROBE_TIMEOUT_S = 5.0
SHARED_S = 1.0  # the age up to which a check is used again
PAGES_MAX_AGE_S, PAGES_TIMEOUT_S = 5.0, 1.0  # the age of a check that a page shows, the time it waits for a newer one
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
    FULL: Fault("The disk of {server} is full.", "Free space on it. Until then files can't be stored."),
    NEARLY_FULL: Fault(
        f"The disk of {{server}} has less than {probes.NEARLY_FULL_BYTES // 2**20} MiB free.",
        "Free space on it, or enlarge it.",
    ),
    NOT_WRITABLE: Fault(
        "This process can't write to {server}.",
        "Give its user write permission, or set {variable} to another folder.",
    ),
    HANGING: Fault(
        "The disk of {server} does not answer in time.", "Check the disk, or the file server that it is on."
    ),
}
BATCH_WRITER = {
    WAITING: Fault(
        f"A message of a charger has been unanswered for more than {probes.MAX_BATCH_WRITER_WAIT_S:.0f} s.",
        "Check pg_stat_activity and pg_locks, because another session may have locked its rows. The log of this "
        "process has the reason for the wait.",
    ),
    HANGING: DATABASE[HANGING],
}
WORKER = {
    MISSING: Fault(
        "No Celery worker has reported for half a minute.",
        "Start one, and read its log if it ends. Until then commands are accepted and wait.",
    ),
    HANGING: REDIS[HANGING],
}
BEAT = {
    MISSING: Fault(
        "Celery beat has not reported for half a minute.",
        "Start exactly one. Until then expired data is not deleted.",
    ),
    HANGING: REDIS[HANGING],
}


@dataclass(frozen=True)
class Problem:
    """A problem of one part. `fault` is a word; `wrong`, `where` and `what_to_do` are sentences without hosts."""

    part: str
    fault: str
    wrong: str
    where: str
    what_to_do: str
    is_warning: bool
    error: str = field(compare=False)  # only for the log, because it may name a host


@dataclass
class Part:
    """A part on which this process depends.

    `probe` raises an exception if the part fails, and `classify` maps it to a key of `faults`, or None. This process
    remains ready in spite of the faults in `warnings`.
    """

    name: str
    probe: Callable[[], None]
    classify: Callable[[BaseException], str | None]
    faults: dict[str, Fault]
    server: str
    where: str
    variable: str = ""
    warnings: tuple[str, ...] = ()
    running: Future | None = None

    def begin(self) -> None:
        """Start the probe in its own thread, unless the previous one is still running."""
        if self.running is None or self.running.done():
            self.running = _in_thread(self.probe)

    def problem(self, deadline: float) -> Problem | None:
        """The problem, None if there is none. Wait for the probe until `time.monotonic()` reaches `deadline`."""
        assert self.running is not None  # `begin` was called
        try:
            error: BaseException | None = self.running.exception(max(0.0, deadline - time.monotonic()))
        except TimeoutError as late:
            error = late
        return self._problem_of(error) if error else None

    def _problem_of(self, error: BaseException) -> Problem:
        name = self.classify(error) or FAILING
        fault, words = self.faults[name], {"server": self.server, "variable": self.variable}
        wrong, what_to_do = fault.wrong.format(**words), fault.what_to_do.format(**words)
        error_text = " ".join(f"{type(error).__name__}: {error}".split())
        return Problem(self.name, name, wrong, self.where, what_to_do, name in self.warnings, error_text)


def _in_thread(do: Callable[[], Any]) -> Future:
    """Run `do` in a new daemon thread, so that a hanging probe does not keep the process alive. Return its future."""
    future: Future = Future()

    def run() -> None:
        try:
            future.set_result(do())
        except Exception as error:  # noqa: BLE001  (the future passes it on)
            future.set_exception(error)

    threading.Thread(target=run, name="readiness", daemon=True).start()
    return future


# --- the parts -------------------------------------------------------------------------------


def _classify_disk(error: BaseException) -> str:
    if isinstance(error, probes.NearlyFull):
        return NEARLY_FULL
    if isinstance(error, TimeoutError):
        return HANGING
    return FULL if getattr(error, "errno", None) in DISK_FULL else NOT_WRITABLE


def _hanging_or(fault: str) -> Callable[[BaseException], str]:
    return lambda error: HANGING if isinstance(error, TimeoutError) else fault


def _server(
    name: str,
    probe: Callable[[], None],
    classify: Callable[[BaseException], str | None],
    faults: dict[str, Fault],
    server: str,
    variable: str,
) -> Part:
    return Part(name, probe, classify, faults, server, f"The server that {variable} names.", variable)


def _disk(name: str, probe: Callable[[], None], folder: str, variable: str) -> Part:
    where = f"The disk of {folder}, which {variable} names."
    return Part(name, probe, _classify_disk, DISK, folder, where, variable, warnings=(NEARLY_FULL, NOT_WRITABLE))


def _program(name: str, probe: Callable[[], None], faults: dict[str, Fault]) -> Part:
    where = f"The program `python -m tools.stack {name}`."
    return Part(name, probe, _hanging_or(MISSING), faults, "Redis", where, "REDIS_URL", warnings=(MISSING, HANGING))


# Probed in parallel.
INDEPENDENT_PARTS = (
    _server("database", probes.write_to_database, diagnosis.of_database, DATABASE, "PostgreSQL", "DATABASE_URL"),
    _server("redis", probes.write_to_redis, diagnosis.of_redis, REDIS, "Redis", "REDIS_URL"),
    _server("broker", probes.write_to_broker, diagnosis.of_redis, REDIS, "The message broker", "BROKER_URL"),
    _disk("files_disk", probes.write_file, "the folder for files", "FILES_DIR"),
    _disk("temporary_disk", probes.write_temporary_file, "the folder for temporary files", "TMPDIR"),
    Part(
        "batch_writer",
        probes.check_batch_writer,
        _hanging_or(WAITING),
        BATCH_WRITER,
        "The batch writer",
        "This process.",
        warnings=(WAITING, HANGING),
    ),
)
# (the part that it needs, the part). Probed only if the needed part works, so that one fault is reported once.
DEPENDENT_PARTS = (
    (
        "database",
        Part(
            *("migrations", probes.migrations.check, _hanging_or(NOT_MIGRATED), MIGRATIONS),
            *("PostgreSQL", "The database that DATABASE_URL names."),
        ),
    ),
    ("redis", _program("worker", probes.check_worker, WORKER)),
    ("redis", _program("beat", probes.check_beat, BEAT)),
)
PARTS = (*INDEPENDENT_PARTS, *(part for _, part in DEPENDENT_PARTS))


def check() -> list[Problem]:
    """The problems of all parts now. Takes a few milliseconds, at most 2 * PROBE_TIMEOUT_S."""
    problems = _problems(INDEPENDENT_PARTS)
    broken = {problem.part for problem in problems}
    return problems + _problems([part for needed, part in DEPENDENT_PARTS if needed not in broken])


def _problems(parts: Sequence[Part]) -> list[Problem]:
    deadline = time.monotonic() + PROBE_TIMEOUT_S
    for part in parts:
        part.begin()
    return [problem for part in parts if (problem := part.problem(deadline))]


class LatestCheck:
    """The result of the latest check. A request starts a new one, in its own thread, if the latest is too old."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.running: Future | None = None
        self.found: list[Problem] = []
        self.checked_at = -math.inf

    def problems(self, max_age_s: float = SHARED_S, timeout_s: float = 3 * PROBE_TIMEOUT_S) -> list[Problem]:
        """The problems at most `max_age_s` ago; those of the previous check if a new one exceeds `timeout_s`."""
        with self.lock:
            running = self.running
            is_idle = running is None or running.done()
            if running is None or (is_idle and time.monotonic() - self.checked_at >= max_age_s):
                self.running = running = _in_thread(self._check)
        wait([running], timeout_s)
        if running.done():
            running.result()  # raises the exception of a check that failed
        return self.found

    def _check(self) -> None:
        found = check()
        _log_changes(self.found, found)
        self.found, self.checked_at = found, time.monotonic()


latest_check = LatestCheck()


def problems() -> list[Problem]:
    """The problems that are no warnings, for pages, which show an older result rather than wait."""
    return [problem for problem in latest_check.problems(PAGES_MAX_AGE_S, PAGES_TIMEOUT_S) if not problem.is_warning]


def context(request: HttpRequest) -> dict[str, Callable[[], list[Problem]]]:
    """Context processor: `faults`, a function, so that only templates that show them start a check."""
    return {"faults": problems}


def _log_changes(before: list[Problem], now: list[Problem]) -> None:
    """Log a line when a problem begins or ends, instead of one for each check."""
    for problem in now:
        if problem not in before:
            level = logging.INFO if problem.is_warning else logging.WARNING
            logger.log(level, "%s %s %s (%s)", problem.wrong, problem.where, problem.what_to_do, problem.error)
    for part in sorted({problem.part for problem in before} - {problem.part for problem in now}):
        logger.info("%s works again.", part)
