"""`manage.py create_token USER NAME`: create a token for the API and print it once."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from chargers.models import ApiToken


class Command(BaseCommand):
    help = "Create an API token for a user and print it. Only its hash is stored, so it cannot be printed again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", help="the user name")
        parser.add_argument("name", help="its purpose, or the place where it is stored")
        parser.add_argument("--days", type=int, default=365, help="days until it expires (365); 0: it never expires")
        parser.add_argument("--replace", action="store_true", help="revoke the user's token of this name first")

    @transaction.atomic
    def handle(self, *, user: str, name: str, days: int | None, replace: bool, **_: Any) -> None:
        owner = User.objects.filter(username=user).first()
        if owner is None:
            raise CommandError(f"There is no user {user!r}: add one in the admin, or with createsuperuser.")
        former = ApiToken.objects.filter(user=owner, name=name)
        if former and not replace:
            raise CommandError(f"{user} has a token {name!r} already: choose another name, or add --replace.")
        for token in former:
            token.delete()
        expires_at = datetime.now(UTC) + timedelta(days=days) if days else None
        _, token = ApiToken.make(owner, name, expires_at)
        self.stdout.write(token)
