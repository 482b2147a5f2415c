"""`manage.py migrate`: Django's, but it never holds up chargers while it waits for a lock."""

from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import connection

from chargers import locks

# Longer than PostgreSQL's deadlock_timeout (1 s), after which an autovacuum that is in the way is cancelled.
LOCK_TIMEOUT = "'1200ms'"


class Command(migrate.Command):
    """A migration whose statement does not get its lock within LOCK_TIMEOUT is rolled back and begun again.

    That is safe as each is one transaction. One that is not (an index that is made concurrently) locks out nobody
    while it waits, and waits as long as it takes.
    """

    help = f"{migrate.Command.help} A migration that can't get its locks at once is tried again."
    migration = "migrate"

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument(
            "--patience", type=float, default=600, help="Seconds after which no lock is waited for any more (600)."
        )

    def handle(self, *args, patience, **options):
        def step():
            _limit(LOCK_TIMEOUT)
            return super(Command, self).handle(*args, **options)

        try:
            return locks.patiently(lambda: self.migration, step, patience, self._say)
        except locks.StillLocked as error:
            raise CommandError(str(error)) from error
        finally:
            _limit("DEFAULT")

    def migration_progress_callback(self, action, migration=None, fake=False):
        if action in ("apply_start", "unapply_start"):
            self.migration = str(migration)
            _limit(LOCK_TIMEOUT if migration.atomic else "0")
        super().migration_progress_callback(action, migration, fake)

    def _say(self, line):
        self.stdout.write(f"\n  {line}")
        self.stdout.flush()


def _limit(lock_timeout):
    """Of this session from now on; a transaction of the caller keeps its own."""
    if not connection.in_atomic_block:
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {lock_timeout}")
