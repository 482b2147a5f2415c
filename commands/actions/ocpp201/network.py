"""SetNetworkProfile (B09), and the security profile with which a charger connects by it (A05)."""

from collections.abc import Iterator

from django.utils import timezone

from chargers.models import Charger, NetworkProfile
from chargers.models.variables import MAX_ENUM_LENGTH
from chargers.services import values, variables
from chargers.services.variables import VariableName
from commands.models import Command
from core.ocpp import schemas
from core.ocpp.schemas import JSON

PRIORITY = VariableName("NetworkConfigurationPriority", "OCPPCommCtrlr")
PROFILES = (1, 2, 3)  # the security profiles of OCPP 2.0.1


def check(payload: JSON, charger: Charger) -> Iterator[str]:
    """Refuse a security profile with which the charger could not connect; warn of a slot it does not have."""
    profile, slot = payload["connectionData"]["securityProfile"], payload["configurationSlot"]
    if profile not in PROFILES:
        raise schemas.Violation("connectionData.securityProfile", "OCPP 2.0.1 has security profiles 1, 2 and 3.", "")
    refuse_lower(charger, profile, "connectionData.securityProfile")
    known = variables.find(charger.pk, PRIORITY)
    slots = values.choices(known) if known else []
    if slots and str(slot) not in slots:
        yield f"The charger has reported the slots {', '.join(slots)}, and {slot} is none of them."


def refuse_lower(charger: Charger, profile: int, field: str) -> None:
    """Raise `Violation` for a security profile below that of `charger`: it could not connect (A05.FR.07)."""
    if profile < (charger.security_profile or 0):
        raise schemas.Violation(field, "A security profile can't be lowered over OCPP.", "")


def weak_slots(charger: Charger, priority: str) -> Iterator[str]:
    """Yield a warning for each slot in `priority` by whose connection the charger would be refused."""
    current = charger.security_profile or 0
    for slot in _slots(priority):
        if (profile := _profile_of(charger.pk, slot)) is not None and profile < current:
            yield (
                f"The connection in slot {slot} has security profile {profile}, and this charger may only connect "
                f"with {current} or higher."
            )


def was_set(command: Command) -> None:
    """Store the connection of the slot, and expect the security profile of the one that is tried first (A05, B10)."""
    sent, now = command.payload, timezone.now()
    slot, connection = sent["configurationSlot"], sent["connectionData"]
    columns: JSON = {"status": command.status[:MAX_ENUM_LENGTH], "answered_at": now}
    if command.status == "Accepted":
        profile = connection["securityProfile"]
        columns |= {"connection": connection, "security_profile": profile, "accepted_at": now}
    NetworkProfile.objects.update_or_create(charger=command.charger, slot=slot, defaults=columns)
    if command.status == "Accepted":
        known = variables.find(command.charger_id, PRIORITY)
        expect_first(command.charger_id, known.value if known and known.value else str(slot))


def expect_first(charger: int, priority: str) -> None:
    """Expect the security profile of the first slot in `priority`, with which `charger` (primary key) boots next."""
    for slot in _slots(priority)[:1]:
        expect(charger, _profile_of(charger, slot))


def expect(charger: int, profile: int | None) -> None:
    """Note that `charger` (primary key) may connect with the higher `profile`; it cannot go back then (A05.FR.07)."""
    row = Charger.objects.select_for_update().get(pk=charger)
    if profile in PROFILES and profile > (row.security_profile or 0):
        row.next_security_profile = profile
        row.save(update_fields=["next_security_profile"])


def _slots(priority: str) -> list[int]:
    """Return the slots in a value of NetworkConfigurationPriority, in their order."""
    texts = [text.strip() for text in priority.split(",")]
    return [int(text) for text in texts if text.isdecimal() and len(text) < 10]


def _profile_of(charger: int, slot: int) -> int | None:
    profiles = NetworkProfile.objects.filter(charger=charger, slot=slot)
    return profiles.values_list("security_profile", flat=True).first()
