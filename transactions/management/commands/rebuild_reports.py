"""`manage.py rebuild_reports`: compute the totals of all days from the sessions."""

from typing import Any

from django.core.management.base import BaseCommand

from transactions.services import day_totals, outages

WIDTH = 40  # characters of the bar


class Command(BaseCommand):
    help = "Compute the totals of reports from all sessions. Needed after a change of TIME_ZONE_DISPLAY."

    def handle(self, *args: Any, **options: Any) -> None:
        done = chargers = 0
        for done, chargers in day_totals.rebuild():
            filled = WIDTH * done // chargers
            bar = "#" * filled + "-" * (WIDTH - filled)
            self.stderr.write(f"\r[{bar}] {done:,} of {chargers:,} chargers", ending="")
        self.stderr.write("")
        outages.update(everything=True)
        self.stdout.write(f"The totals of {done:,} chargers are computed, and the outages of all events.")
