"""Keep totals of days and months equal to the sum of the rows that they count.

A session that has ended counts whole on the local day on which it began, in the time zone of the present site of its
charger. Triggers note the days whose sessions change (`models.day_totals`). Such a day is computed again as a whole,
so it does not matter how often. `commands.services.command_totals` does the same with commands.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.conf import settings
from django.db import transaction as database

from chargers.models import Charger
from core.db import bulk_sql
from core.ocpp.redaction import HIDDEN
from transactions import sql
from transactions.services.key_codes import KEY_CODE

DAYS_AT_ONCE = 1000  # marks for which one transaction computes the days
CHARGERS_AT_ONCE = 50  # of which one transaction computes all days
DAY = timedelta(days=1)
# Reasons for which a session ends as intended. A StopTransaction without one means Local.
USUAL_REASONS = (
    *("", "Local", "Remote", "EVDisconnected", "StoppedByEV", "MasterPass"),
    *("EnergyLimitReached", "SOCLimitReached", "TimeLimitReached", "LocalOutOfCredit"),
)


@dataclass(frozen=True)
class DayTotals:
    """The totals of one kind of rows.

    `take` deletes and returns noted days, `any_stale` returns a row if one is noted, and `compute` replaces the
    totals of days and months. `lock` is the key of the advisory lock of those who compute.
    """

    lock: int
    any_stale: str
    take: str
    compute: tuple[str, ...]

    def update(self, portions: int | None = None) -> int:
        """Compute the days whose rows have changed, at most `portions` of DAYS_AT_ONCE marks; return their number.

        Several processes may run it: each waits for the other one's transaction, and sees its rows.
        """
        updated = 0
        while portions is None or portions > 0:
            taken = self._update_portion()
            updated += taken
            if taken < DAYS_AT_ONCE:
                break
            portions = None if portions is None else portions - 1
        return updated

    @database.atomic
    def _update_portion(self) -> int:
        if self.is_complete():
            return 0
        self._lock()
        taken = bulk_sql.query(self.take, [DAYS_AT_ONCE])
        whole = {charger for charger, day in taken if day is None}
        days = {(charger, near) for charger, day in taken if charger not in whole and day for near in _near(day)}
        if whole:
            self._compute(whole)
        if days:
            self._compute(set(), days)
        return len(taken)

    def is_complete(self) -> bool:
        """Return whether the totals of every changed day are computed."""
        return not bulk_sql.query(self.any_stale, [])

    def rebuild(self) -> Iterator[tuple[int, int]]:
        """Compute all days of all chargers; yield (chargers done, chargers) after each portion."""
        chargers = list(Charger.objects.order_by("pk").values_list("pk", flat=True))
        for begin in range(0, len(chargers), CHARGERS_AT_ONCE):
            with database.atomic():
                self._lock()
                self._compute(set(chargers[begin : begin + CHARGERS_AT_ONCE]))
            yield min(begin + CHARGERS_AT_ONCE, len(chargers)), len(chargers)

    def _lock(self) -> None:
        """Wait for others who compute days. The statements that follow see the rows of these."""
        bulk_sql.query("SELECT pg_advisory_xact_lock(%s)", [self.lock])

    def _compute(self, whole: set[int], days: Iterable[tuple[int, date]] = ()) -> None:
        """Compute every day of the chargers `whole` (primary keys), and `days`: (charger, local day)."""
        pairs = sorted(days)
        dates = [day for _, day in pairs]
        months = sorted({(charger, day.replace(day=1)) for charger, day in pairs})
        parameters = {
            "whole": bulk_sql.array(sorted(whole)),
            "chargers": bulk_sql.array(sorted(whole | {charger for charger, _ in pairs})),
            "days": bulk_sql.json([{"charger": charger, "day": day} for charger, day in pairs]),
            "months": bulk_sql.json([{"charger": charger, "month": month} for charger, month in months]),
            "zone": settings.TIME_ZONE_DISPLAY,
            "key_code": KEY_CODE,
            "hidden": HIDDEN,
            "usual": " ".join(USUAL_REASONS),
            "since": "-infinity" if whole else _start_of(min(dates), -DAY),
            "until": "infinity" if whole else _start_of(max(dates), 2 * DAY),
        }
        for statement in self.compute:
            bulk_sql.query(statement, parameters)


def _near(day: date) -> Iterator[date]:
    """Yield the local days that overlap `day`, a day of UTC, in any time zone."""
    yield day
    if day > date.min:
        yield day - DAY
    if day < date.max:
        yield day + DAY


def _start_of(day: date, distance: timedelta) -> str:
    """Return the start of `day` in UTC, moved by `distance`."""
    try:
        return (datetime.combine(day, time.min, UTC) + distance).isoformat()
    except OverflowError:
        return "-infinity" if distance < timedelta(0) else "infinity"


SESSIONS = DayTotals(
    lock=2_026_1130,
    any_stale=sql.ANY_STALE_DAY,
    take=sql.TAKE_STALE_DAYS,
    compute=(sql.DELETE_DAY_TOTALS, sql.INSERT_DAY_TOTALS, sql.DELETE_MONTH_TOTALS, sql.INSERT_MONTH_TOTALS),
)
