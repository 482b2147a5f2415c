"""`manage.py create_charger 505`: add a charger and, if requested, set its key."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from chargers.models import SECURITY_PROFILES, Charger
from chargers.services import audit, keys


class Command(BaseCommand):
    help = (
        "Add a charger. With --new-key a random key for Basic auth is set and printed; only its hash is stored. "
        "A charger that exists already is changed with --force only."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("charger_id", help="as in its URL")
        parser.add_argument("--security-profile", type=int, choices=[number for number, _ in SECURITY_PROFILES])
        key = parser.add_mutually_exclusive_group()
        key.add_argument("--new-key", action="store_true", help="replace its key, if any, by a random one")
        key.add_argument(
            "--key", help="replace the stored key, if any, by this one, such as the key from its factory"
        )
        parser.add_argument(
            "--allow-short-key",
            action="store_true",
            help=f"accept a --key of {keys.MIN_CONFIRMED_LENGTH} characters or more",
        )
        parser.add_argument("--force", action="store_true", help="change a charger that exists already")

    @transaction.atomic
    def handle(
        self,
        *,
        charger_id: str,
        security_profile: int | None,
        new_key: bool,
        key: str | None,
        allow_short_key: bool,
        force: bool,
        **_: Any,
    ) -> None:
        if not 0 < len(charger_id) <= 255 or "\0" in charger_id:
            raise CommandError("A charger id has 1 to 255 characters.")
        warning = _checked(key, allow_short_key)
        charger = Charger.objects.select_for_update().filter(identity=charger_id).first()
        if charger is not None and not force:
            raise CommandError(_refusal(charger, security_profile, new_key or key is not None))
        charger = charger or Charger.objects.create(identity=charger_id)
        if security_profile is not None:
            charger.security_profile, charger.next_security_profile = security_profile, None
            charger.save(update_fields=["security_profile", "next_security_profile"])
        if key is not None:
            charger.set_key(key)
        if warning:
            audit.warn(charger, warning)
            self.stderr.write(warning)
        self.stdout.write(charger.make_key() if new_key else f"{charger_id} is known.")


def _checked(key: str | None, allow_short_key: bool) -> str:
    """Return the warning about `key`, or "" without one."""
    if key is None:
        return ""
    try:
        return keys.check(key, allow_short_key, "add --allow-short-key")
    except ValueError as error:
        raise CommandError(str(error)) from error


def _refusal(charger: Charger, security_profile: int | None, has_new_key: bool) -> str:
    """Return the error for an existing charger: the changes that would be made, and how to make them."""
    changes = []
    if security_profile is not None and security_profile != charger.security_profile:
        former = "none" if charger.security_profile is None else charger.security_profile
        changes.append(f"set its security profile to {security_profile} (now {former})")
    if has_new_key:
        changes.append("replace its key, so that it must connect with the new one")
    if not changes:
        return f"{charger} is known already, and nothing would be changed."
    return f"{charger} is known already; this would {' and '.join(changes)}. Add --force to do so."
