"""`manage.py migrate`: as in Django, but without delaying chargers while it waits for a lock."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.management.commands import migrate
from django.db import connection

from core.db import columns, locks

# Longer than PostgreSQL's deadlock_timeout (1 s), after which PostgreSQL cancels an autovacuum that holds the lock.
LOCK_TIMEOUT = "'1200ms'"


class Command(migrate.Command):
    """Roll back and repeat a migration whose statement does not get its lock within LOCK_TIMEOUT.

    This is safe, because each migration is one transaction. A migration that is not (an index that is created
    concurrently) blocks no other session while it waits, so it waits without a timeout. At the end the columns of the
    models are compared with those of the database.
    """

    help = f"{migrate.Command.help} A migration that can't get its locks at once is repeated."
    migration = "migrate"

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--patience", type=float, default=600, help="Seconds after which waiting for a lock fails (600)."
        )

    def handle(self, *args: Any, patience: float, **options: Any) -> Any:
        def step() -> Any:
            _limit(LOCK_TIMEOUT)
            return super(Command, self).handle(*args, **options)

        try:
            locks.patiently(lambda: self.migration, step, patience, self._report)
        except locks.StillLocked as error:
            raise CommandError(str(error)) from error
        finally:
            _limit("DEFAULT")
        if not (options["app_label"] or options["plan"] or options["check_unapplied"]):
            _compare_columns()

    def migration_progress_callback(self, action: str, migration: Any = None, fake: bool = False) -> None:
        if action in ("apply_start", "unapply_start"):
            self.migration = str(migration)
            _limit(LOCK_TIMEOUT if migration.atomic else "0")
        super().migration_progress_callback(action, migration, fake)

    def _report(self, line: object) -> None:
        self.stdout.write(f"\n  {line}")
        self.stdout.flush()


def _compare_columns() -> None:
    """Raise `CommandError` if a migration was changed after it had been applied to this database."""
    if found := columns.differences():
        raise CommandError(
            f"The columns of the database are not those of the models: {', '.join(found)}. A migration was changed "
            "after it had been applied here. Stop, and delete the data (of make run: the folder .run), or change the "
            "columns by hand."
        )


def _limit(lock_timeout: str) -> None:
    """Set `lock_timeout` of this session, but not within a transaction of the caller."""
    if not connection.in_atomic_block:
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {lock_timeout}")
