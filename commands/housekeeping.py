"""What is done once an hour: partitions for the months or days to come, and what is older than it is to be kept goes.

The rules are those of `commands.retention`. Retention is in days, 0 keeps for ever.
"""

import logging
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import models

from chargers import gateway, partitions
from chargers.models import Refusal
from commands.retention import Aged, Dropped, of_kind, portions

logger = logging.getLogger(__name__)

KEPT = "house-kept"  # when it was last; for who asks for metrics
TELL = 10  # seconds between two lines of the log about a table with many old rows


def keep_house(now: datetime | None = None) -> dict[str, list[str] | int]:
    """Do what is due; {what: the names or the number of what was made or deleted}.

    What fails does not keep the rest from being done, and is raised after it.
    """
    done, errors = {}, []
    for what, step in _steps(now or datetime.now(UTC)):
        try:
            result = step()
        except Exception as error:  # noqa: BLE001  (see above)
            errors.append(error)
            continue
        done[what] = done[what] + result if what in done else result
    if errors:
        raise ExceptionGroup(f"House was kept in part: {done}", errors)
    gateway.record_time(KEPT)
    return done


def _steps(now: datetime) -> Iterator[tuple[str, Callable[[], Any]]]:
    """(what it does, how); steps with one name are counted together."""
    for model, rule in of_kind(Dropped):
        name, table = model._meta.verbose_name_plural, model._meta.db_table
        yield f"partitions of {name} made", partial(partitions.make, table, now, rule.periods)
        if before := _limit(rule.setting, now):
            yield f"partitions of {name} dropped", partial(partitions.drop_before, table, before)
    for model, rule in of_kind(Aged):
        if before := _limit(rule.setting, now):
            yield _deleted(model), partial(_delete, rule.due(model, before), rule.first)
    # Those whose charger was let in since tell nothing any more, whatever their age.
    yield _deleted(Refusal), partial(_delete, Refusal.objects.settled())


def _limit(setting: str, now: datetime) -> datetime | None:
    """Before which rows are too old by the setting of that name, None where they are kept for ever."""
    days = getattr(settings, setting)
    return now - timedelta(days=days) if days else None


def _deleted(model: type[models.Model]) -> str:
    return f"{model._meta.verbose_name_plural} deleted"


def _delete(rows: models.QuerySet, first: Callable[[list], None] | None = None) -> int:
    """Delete `rows` in portions; how many. `first` is given the primary keys of each portion before it is deleted."""
    deleted, told_at = 0, time.monotonic()
    for portion in portions(rows):
        if first:
            first(portion)
        rows.filter(pk__in=portion).delete()
        deleted += len(portion)
        if time.monotonic() - told_at > TELL:
            told_at = time.monotonic()
            logger.info("%s: %s so far", _deleted(rows.model), deleted)
    return deleted
