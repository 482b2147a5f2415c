"""`manage.py maintain`: run the hourly maintenance by hand or by cron."""

from typing import Any

from django.core.management.base import BaseCommand

from commands.services.maintenance import maintain


class Command(BaseCommand):
    help = "Create the partitions of the coming months, and delete rows that are older than their retention."

    def handle(self, *args: Any, **options: Any) -> None:
        for step, result in maintain().items():
            shown = ", ".join(result) or "none" if isinstance(result, list) else result
            self.stdout.write(f"{step}: {shown}")
