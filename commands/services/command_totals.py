"""Keep totals of days and months equal to the counts of finished commands.

A command belongs to the local day of its submission, in the time zone of the present site of its charger. Commands
that were deleted stay counted (`models.command_totals`).
"""

from commands import sql
from transactions.services.day_totals import DayTotals

COMMANDS = DayTotals(
    lock=2_026_1201,
    any_stale=sql.ANY_STALE_DAY,
    take=sql.TAKE_STALE_DAYS,
    compute=(sql.DELETE_DAY_TOTALS, sql.INSERT_DAY_TOTALS, sql.DELETE_MONTH_TOTALS, sql.INSERT_MONTH_TOTALS),
)
