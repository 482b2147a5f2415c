"""System checks of the settings for `manage.py check --deploy`."""

from typing import Any

from django.conf import settings
from django.core.checks import Tags, Warning, register

NO_KEYS = Warning(
    "SECRETS_KEYS is not set, so the key that encrypts secrets in the database is derived from SECRET_KEY. "
    "A change of SECRET_KEY makes these secrets unreadable.",
    hint="Set SECRETS_KEYS to a key of its own, see docs/security.md.",
    id="ocpp.W001",
)


@register(Tags.security, deploy=True)
def check_secrets_keys(**_: Any) -> list[Warning]:
    """Warn if secrets have no key of their own."""
    return [NO_KEYS] if settings.SECRETS_KEYS_ARE_DERIVED else []
