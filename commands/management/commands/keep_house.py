"""`manage.py keep_house`: by hand, or from cron, what Celery beat has done once an hour."""

from django.core.management.base import BaseCommand

from commands.housekeeping import keep_house


class Command(BaseCommand):
    help = "Make the partitions of the months to come and drop what is older than it is to be kept."

    def handle(self, *args, **options):
        for what, how_much in keep_house().items():
            shown = ", ".join(how_much) or "none" if isinstance(how_much, list) else how_much
            self.stdout.write(f"{what}: {shown}")
