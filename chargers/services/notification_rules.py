"""Check notification rules, and show their targets without secrets."""

from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from chargers.models import NotificationRule
from chargers.models.events import is_reachable, is_url
from core.ocpp.redaction import HIDDEN

MAX_ADDRESSES = 50


def shown(target: str) -> str:
    """Return the addresses as they are, and of a URL its scheme and host, because its path may be a secret."""
    if "://" not in target:
        return target
    parts = urlsplit(target)
    return f"{parts.scheme}://{parts.hostname or ''}/{HIDDEN}"


def check(former: NotificationRule | None, fields: dict[str, Any]) -> None:
    """Raise `ValidationError` by field if `fields`, applied to `former`, make no rule that can work."""
    known = former or NotificationRule()

    def value(name: str) -> Any:
        return fields[name] if name in fields else getattr(known, name)

    targets = {name: value(name) for name in ("target", "escalation_target")}
    has_new_channel = former is not None and value("channel") != former.channel
    for name, target in targets.items():
        if target and isinstance(target, str):
            check_target(name, value("channel"), target)
        elif target and has_new_channel:
            raise ValidationError({name: "Send the target for this channel, too."})
    if not targets["target"]:
        raise ValidationError({"target": "This field is required."})
    if bool(value("escalate_after")) != bool(targets["escalation_target"]):
        raise ValidationError({"escalate_after": "Send both escalate_after and escalation_target, or neither."})
    if value("template") is not None and value("channel") != NotificationRule.WEBHOOK:
        raise ValidationError({"template": "Only a webhook has a template."})


def check_target(name: str, channel: str, target: str) -> None:
    """Raise `ValidationError` if `target` has no addresses, or no URL that may be reached."""
    try:
        if channel == NotificationRule.EMAIL:
            addresses = target.split()
            if not 1 <= len(addresses) <= MAX_ADDRESSES:
                raise ValidationError(f"Enter 1 to {MAX_ADDRESSES} addresses, one in each line.")
            for address in addresses:
                validate_email(address)
        else:
            is_url(target)
            is_reachable(target)
    except ValidationError as error:
        raise ValidationError({name: error.messages}) from error
