"""`manage.py rebuild_reports`: compute the totals of all days from the sessions and commands."""

from typing import Any

from django.core.management.base import BaseCommand

from commands.services.command_totals import COMMANDS
from transactions.services import outages
from transactions.services.day_totals import SESSIONS

WIDTH = 40  # characters of the bar


class Command(BaseCommand):
    help = "Compute the totals of reports from all sessions and commands. Needed after a change of TIME_ZONE_DISPLAY."

    def handle(self, *args: Any, **options: Any) -> None:
        done = 0
        for name, totals in (("sessions", SESSIONS), ("commands", COMMANDS)):
            for done, chargers in totals.rebuild():
                filled = WIDTH * done // chargers
                bar = "#" * filled + "-" * (WIDTH - filled)
                self.stderr.write(f"\r[{bar}] {name} of {done:,} of {chargers:,} chargers", ending="")
            self.stderr.write("")
        outages.update(everything=True)
        self.stdout.write(f"The totals of {done:,} chargers are computed, and the outages of all events.")
