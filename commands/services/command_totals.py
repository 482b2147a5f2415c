"""Keep totals of days and months equal to the counts of finished commands.

A command belongs to the local day of its submission, in the time zone of the present site of its charger. Commands
that were deleted stay counted (`models.command_totals`).
"""

from commands import sql
from commands.services.retention import MAX_ROWS_PER_TRANSACTION
from core.db import bulk_sql
from transactions.services.day_totals import DayTotals

COMMANDS = DayTotals(
    lock=2_026_1201,
    any_stale=sql.ANY_STALE_DAY,
    take=sql.TAKE_STALE_DAYS,
    compute=(sql.DELETE_DAY_TOTALS, sql.INSERT_DAY_TOTALS, sql.DELETE_MONTH_TOTALS, sql.INSERT_MONTH_TOTALS),
)


def merge_deleted() -> int:
    """Merge the counts of commands that were deleted since the last time; return the number of rows merged.

    Each charger, action and quarter of an hour has one row then. A portion of them is one transaction.
    """
    merged = 0
    while number := bulk_sql.query(sql.MERGE_DELETED_COMMANDS, [MAX_ROWS_PER_TRANSACTION])[0][0]:
        merged += number
    return merged
