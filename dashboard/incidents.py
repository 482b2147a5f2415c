"""Incidents of this system itself, such as a full disk or a missing worker, and the count that pages show.

The web processes look for them, because workers cannot report that there is none. One of them does so in each
interval; while Redis is unavailable, each of them does.
"""

import time
from collections.abc import Callable

from django.http import HttpRequest
from redis.exceptions import RedisError

from chargers import sql
from chargers.models import Incident
from chargers.models.incidents import OPEN
from chargers.services import access, incidents
from chargers.services.incidents import Rule, Span
from core.background import RepeatedStep
from core.db import bulk_sql
from core.redis import leases
from dashboard import readiness

INTERVAL_S = 10
# While the parts start or restart, one is missing for a moment. It is less than SETTLING_S, so that a new web process
# does not close the incident of a problem that goes on.
PATIENCE_S = 45
SETTLING_S = 60  # machines may find different problems, and take turns


_since: dict[str, float] = {}  # part: when this process found its problem first


def keep_watching() -> None:
    """Start the thread that looks for problems. Every web process has one."""
    RepeatedStep("own incidents", watch, INTERVAL_S).start()


def watch() -> None:
    """Open and close the incidents of this system, unless another process did so in this interval."""
    try:
        is_first = leases.is_first_within("own-incidents", INTERVAL_S)
    except RedisError:
        is_first = True
    problems = readiness.latest_check.problems()
    can_store = all(problem.fault != readiness.NOT_MIGRATED for problem in problems)
    lasting_problems = lasting(problems, time.monotonic())
    if is_first and can_store:
        incidents.apply(rule(lasting_problems), Span(bulk_sql.clock()))


def lasting(problems: list[readiness.Problem], now: float) -> list[readiness.Problem]:
    """Return those of the present `problems` that this process has found for PATIENCE_S; `now` is in seconds."""
    known = {problem.part: _since.get(problem.part, now) for problem in problems}
    _since.clear()
    _since.update(known)
    return [problem for problem in problems if now - _since[problem.part] >= PATIENCE_S]


def rule(problems: list[readiness.Problem]) -> Rule:
    """Return the rule for `problems`."""
    rows = [
        {
            "cause": problem.part,
            "severity": "warning" if problem.is_warning else "critical",
            "code": problem.part,
            "detail": f"{problem.wrong} {problem.where} {problem.what_to_do}",
        }
        for problem in problems
    ]
    return Rule("system", sql.REPORTED_CAUSES, SETTLING_S, lambda: {"rows": bulk_sql.json(rows)})


def context(request: HttpRequest) -> dict[str, Callable[[], int]]:
    """Context processor: `open_incidents`, a function, so that only pages with a navigation count them."""
    return {"open_incidents": lambda: access.within(request.user, Incident.objects.filter(state=OPEN)).count()}
