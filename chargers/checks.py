"""System checks of Django: what `manage.py check --deploy` says about the settings."""

from typing import Any

from django.conf import settings
from django.core.checks import Tags, Warning, register

NO_KEYS = Warning(
    "SECRETS_KEYS is not set, so the key that encrypts secrets in the database is derived from SECRET_KEY. "
    "Whoever changes SECRET_KEY loses these secrets.",
    hint="Set SECRETS_KEYS to a key of its own, see docs/security.md.",
    id="ocpp.W001",
)


@register(Tags.security, deploy=True)
def check_secrets_keys(**_: Any) -> list[Warning]:
    """Warn where secrets have no key of their own."""
    return [NO_KEYS] if settings.SECRETS_KEYS_ARE_DERIVED else []
