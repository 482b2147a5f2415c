"""`manage.py create_charger 505`: make a charger known and, if asked to, a key for it."""

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from chargers.models import SECURITY_PROFILES, Charger


class Command(BaseCommand):
    help = "Make a charger known. With --new-key a key for Basic auth is made and printed: it is kept as a hash."

    def add_arguments(self, parser):
        parser.add_argument("charger_id", help="as in its URL")
        parser.add_argument("--security-profile", type=int, choices=[number for number, _ in SECURITY_PROFILES])
        parser.add_argument("--new-key", action="store_true", help="in place of the one it has, if any")

    @transaction.atomic
    def handle(self, *, charger_id, security_profile, new_key, **_):
        if not 0 < len(charger_id) <= 255:
            raise CommandError("A charger id has 1 to 255 characters.")
        charger, made = Charger.objects.get_or_create(charger_id=charger_id)
        if not made and not new_key and security_profile is None:
            raise CommandError(f"{charger_id} is known already.")
        if security_profile is not None:
            charger.security_profile, charger.next_security_profile = security_profile, None
            charger.save(update_fields=["security_profile", "next_security_profile"])
        self.stdout.write(charger.make_key() if new_key else f"{charger_id} is known.")
