"""`manage.py reseal`: encrypt every secret in the database with the first of SECRETS_KEYS."""

from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError

from core.db import sealing


class Command(BaseCommand):
    help = (
        "Encrypt every secret in the database with the first of SECRETS_KEYS, while the system runs. Afterwards "
        "the other keys can be removed from the list. The command may be interrupted and run again."
    )

    def handle(self, **_: Any) -> None:
        try:
            changed = sealing.reseal(apps.get_models(), self._report)
        except sealing.Unreadable as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{changed} secrets were encrypted with the first key.")

    def _report(self, column: str, done: int, total: int) -> None:
        self.stderr.write(f"{column}: {done} of {total} rows")
