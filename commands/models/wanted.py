"""An intent or an action of OCPP for many chargers, as a batch or a schedule stores it."""

from typing import Any

from django.db import models

from commands.actions.intents import Verbatim, intent_of, name_and_payload
from commands.fields import Payload, PayloadField
from core.ocpp.versions import Version


class Wanted(models.Model):
    """Exactly one of `intent` and `action` is not empty."""

    intent = models.CharField(max_length=20, blank=True)
    action = models.CharField(max_length=40, blank=True)
    payload = PayloadField(help_text="The parameters of the intent, or the OCPP request of the action.")

    class Meta:
        abstract = True

    @property
    def command_name(self) -> str:
        """The name of the intent or the action."""
        return self.intent or self.action

    def wanted(self) -> object:
        """Return the intent, see `intent_of`. Raises `schemas.Violation`, or `sealing.Unreadable`."""
        return intent_of(self.command_name, dict(self.payload.opened()))


def columns_of(intent: object, version: Version) -> dict[str, Any]:
    """Return the columns that store `intent`; `version` declares the secrets of an action of OCPP."""
    name, payload = name_and_payload(intent)
    if isinstance(intent, Verbatim):
        return {"action": name, "payload": Payload.of(payload, version, name)}
    return {"intent": name, "payload": Payload.of(payload)}
