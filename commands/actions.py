"""The table of commands: one row for each action of OCPP 1.6 that a central system may send (§5)."""

from collections.abc import Callable
from dataclasses import dataclass

from django.db import connection

from chargers.models import Charger


@dataclass(frozen=True)
class Action:
    """`simulated`: a schema-valid reply, recorded (and marked) where the charger gave none.
    `fills`: {member of the payload: function(charger)} for what the central system owns and a client may omit.
    `accepted`: what an answer with status Accepted changes, function(command).
    """

    name: str
    simulated: dict
    fills: dict[str, Callable] | None = None
    accepted: Callable | None = None


ACCEPTED = {"status": "Accepted"}


def _next_list_version(charger):
    return charger.local_list_version + 1


def _keep_list_version(command):
    Charger.objects.filter(pk=command.charger_id).update(local_list_version=command.payload["listVersion"])


def _from_sequence(name):
    """A number nobody else was given: from a sequence of the database, made in the first migration."""

    def draw(_charger):
        with connection.cursor() as cursor:
            cursor.execute("SELECT nextval(%s)", [name])
            return cursor.fetchone()[0]

    return draw


_TABLE = (
    # Core
    Action("ChangeAvailability", ACCEPTED),
    Action("ChangeConfiguration", ACCEPTED),
    Action("ClearCache", ACCEPTED),
    Action("DataTransfer", ACCEPTED),
    Action("GetConfiguration", {"configurationKey": [], "unknownKey": []}),
    Action("RemoteStartTransaction", ACCEPTED),
    Action("RemoteStopTransaction", ACCEPTED),
    Action("Reset", ACCEPTED),
    Action("UnlockConnector", {"status": "Unlocked"}),
    # Local authorisation list
    Action("GetLocalListVersion", {"listVersion": 0}),
    Action("SendLocalList", ACCEPTED, {"listVersion": _next_list_version}, _keep_list_version),
    # Reservation
    Action("CancelReservation", ACCEPTED),
    Action("ReserveNow", ACCEPTED, {"reservationId": _from_sequence("commands_reservation_id")}),
    # Smart charging
    Action("ClearChargingProfile", ACCEPTED),
    Action("GetCompositeSchedule", ACCEPTED),
    Action(
        "SetChargingProfile",
        ACCEPTED,
        {"csChargingProfiles.chargingProfileId": _from_sequence("commands_charging_profile_id")},
    ),
    # Firmware and diagnostics
    Action("GetDiagnostics", {}),
    Action("UpdateFirmware", {}),
    # Remote trigger
    Action("TriggerMessage", ACCEPTED),
)
ACTIONS = {action.name: action for action in _TABLE}


def fill_in(action, payload, charger):
    """Add to `payload`, in place, what the central system owns and the client left out."""
    for path, draw in (action.fills or {}).items():
        *outer, member = path.split(".")
        target = payload
        for step in outer:
            target = target.get(step) if isinstance(target, dict) else None
        if isinstance(target, dict) and member not in target:
            target[member] = draw(charger)
