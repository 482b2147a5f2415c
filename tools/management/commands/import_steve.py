"""`manage.py import_steve dump.sql.gz`: take over chargers, tags and transactions from SteVe."""

import zlib
from gzip import BadGzipFile

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from tools.steve import NEEDED, Import
from transactions.services.dump import Dump, Unreadable, opened

EVERY = 10_000  # rows from one line about progress to the next


class Command(BaseCommand):
    help = "Take over chargers, id tags and transactions from a dump of SteVe's database (mysqldump, mariadb-dump)."

    def add_arguments(self, parser):
        parser.add_argument("dump", help="a file of mysqldump: .sql or .sql.gz")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and change nothing")

    def handle(self, *, dump, dry_run, **_):
        try:
            with opened(dump) as lines, transaction.atomic():
                taken = Import(self._counted(Dump(lines, NEEDED)), self.stderr.write, dry_run)
                taken.run()
                transaction.set_rollback(dry_run)
        except (OSError, EOFError, zlib.error, BadGzipFile) as error:
            raise CommandError(f"{dump} can't be read: {error}. Nothing was changed.") from error
        except Unreadable as error:
            raise CommandError(f"{error} Nothing was changed.") from error
        for (table, what), many in sorted(taken.count.items()):
            if what != "read":
                self.stdout.write(f"{table}: {many} {what}")
        self.stdout.write("Nothing was changed (--dry-run)." if dry_run else "Done.")

    def _counted(self, dump):
        return Counted(dump, self.stderr.write)


class Counted:
    """A `Dump` that says now and then how far it is."""

    def __init__(self, dump, say):
        self.dump, self.say = dump, say

    @property
    def is_utc(self):
        return self.dump.is_utc

    @property
    def columns(self):
        return self.dump.columns

    def __iter__(self):
        for number, row in enumerate(self.dump, 1):
            yield row
            if number % EVERY == 0:
                self.say(f"{number:,} rows read, line {self.dump.line:,}")
