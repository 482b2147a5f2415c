"""The app of commands that operators send to chargers."""

from typing import Any

from django.apps import AppConfig
from django.apps.registry import Apps

from core.db import sealing


def _check_keys(apps: Apps | None = None, **_: Any) -> None:
    """Check the encryption keys, except after `flush`, which passes no `apps` and leaves no secrets."""
    if apps:
        sealing.check_keys(apps)


class CommandsConfig(AppConfig):
    name = "commands"

    def ready(self) -> None:
        from django.db.models.signals import post_migrate

        from chargers.services import audit
        from commands.models import ChargingProfile, ContractRoot, Firmware, Schedule
        from commands.models.schedule import EFFECTIVE_COLUMNS
        from commands.services import roles

        audit.watch(ChargingProfile, "description", "profile")
        audit.watch(ContractRoot, "subject", "serial_number", "fingerprint")
        audit.watch(Firmware, "description", "version", "file", "signature")
        audit.watch(Schedule, "name", *EFFECTIVE_COLUMNS, "is_enabled")
        post_migrate.connect(roles.make, sender=self)
        post_migrate.connect(_check_keys, sender=self)
