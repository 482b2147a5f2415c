"""Hourly maintenance: create partitions for the coming months or days, and delete rows after their retention.

The counts of deleted commands are merged.

The rules are those of `commands.services.retention`. Retention is in days; 0 stores rows without limit.
"""

import logging
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import models

from chargers.models import Refusal
from commands.services import command_totals
from commands.services.retention import Aged, Dropped, of_kind, portions
from core.db import partitions
from core.redis import leases

logger = logging.getLogger(__name__)

MAINTENANCE_LAST_RUN = "maintenance-last-run"  # name of a time that is a metric
PROGRESS_INTERVAL_S = 10  # between two lines of the log about a table with many old rows


def maintain(now: datetime | None = None) -> dict[str, list[str] | int]:
    """Run all steps that are due; returns {step: names or number of the things created or deleted}.

    An error of a step is raised after the other steps have run.
    """
    done: dict[str, list[str] | int] = {}
    errors = []
    for name, step in _steps(now or datetime.now(UTC)):
        try:
            result = step()
        except Exception as error:  # noqa: BLE001  (see above)
            errors.append(error)
            continue
        done[name] = done[name] + result if name in done else result
    if errors:
        raise ExceptionGroup(f"Maintenance failed in part. These steps were done: {done}", errors)
    leases.record_time(MAINTENANCE_LAST_RUN)
    return done


def _steps(now: datetime) -> Iterator[tuple[str, Callable[[], Any]]]:
    """(name, function) of each step; the results of steps with the same name are added."""
    for model, rule in of_kind(Dropped):
        name, table = model._meta.verbose_name_plural, model._meta.db_table
        yield f"partitions of {name} made", partial(partitions.make, table, now, rule.periods)
        if before := _limit(rule.setting, now):
            yield f"partitions of {name} dropped", partial(partitions.drop_before, table, before)
    for model, aged in of_kind(Aged):
        if before := _limit(aged.setting, now):
            yield _deleted(model), partial(_delete, aged.due(model, before), aged.first)
    yield "counts of deleted commands merged", command_totals.merge_deleted
    # Refusals of chargers that have connected since are of no use, whatever their age.
    yield _deleted(Refusal), partial(_delete, Refusal.objects.settled())


def _limit(setting: str, now: datetime) -> datetime | None:
    """The time before which rows are too old by the setting of that name, None without a limit."""
    days = getattr(settings, setting)
    return now - timedelta(days=days) if days else None


def _deleted(model: type[models.Model]) -> str:
    return f"{model._meta.verbose_name_plural} deleted"


def _delete(rows: models.QuerySet, first: Callable[[list], None] | None = None) -> int:
    """Delete `rows` in portions; returns their number. `first` gets the primary keys of each portion before that."""
    deleted, logged_at = 0, time.monotonic()
    for portion in portions(rows):
        if first:
            first(portion)
        rows.filter(pk__in=portion).delete()
        deleted += len(portion)
        if time.monotonic() - logged_at > PROGRESS_INTERVAL_S:
            logged_at = time.monotonic()
            logger.info("%s: %s so far", _deleted(rows.model), deleted)
    return deleted
