"""Reports of commands and how they ended, made of the totals of days.

A command that has finished belongs to the local day on which it was submitted, in the zone of its charger's site.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from commands import sql
from commands.models.command_totals import COUNTS
from commands.services.command_totals import COMMANDS
from transactions.services import reports
from transactions.services.reports import CHARGER, DAY, MONTH, SITE, WHOLE, Kind, Part, Report, Selection, percent

ACTION = "action"
GROUPS = SITE, CHARGER, ACTION, DAY, MONTH


@dataclass
class Counts:
    """Counts of commands, see `models.command_totals`."""

    commands: int = 0
    accepted: int = 0
    refused: int = 0
    failed: int = 0
    timed_out: int = 0
    not_connected: int = 0
    cancelled: int = 0
    simulated: int = 0
    confirmed: int = 0
    not_seen: int = 0

    @property
    def success_percent(self) -> Decimal | None:
        """The share of the commands that were not cancelled that the charger answered and accepted."""
        return percent(self.accepted, self.commands - self.cancelled)

    @property
    def confirmed_percent(self) -> Decimal | None:
        """The share of the commands whose effect was looked for that had it."""
        return percent(self.confirmed, self.confirmed + self.not_seen)

    def add(self, split: str, /, *counts: Any) -> None:
        for name, count in zip(COUNTS, counts, strict=True):
            setattr(self, name, getattr(self, name) + int(count))


KIND = Kind(COMMANDS, sql.REPORT, Counts, ACTION, (DAY,))


def commands(user: Any, group_by: str, selection: Selection, part: Part = WHOLE) -> Report[Counts]:
    """Return the report of the commands of `selection` to chargers within reach of `user`, by a name of GROUPS."""
    return reports.read(KIND, user, group_by, selection, part)
