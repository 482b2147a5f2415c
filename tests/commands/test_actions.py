"""The table of commands."""

import pytest
from ocpp.v16 import call, call_result

from chargers import schemas
from commands.actions import ACTIONS, fill_in
from commands.tasks import TASKS
from tests.builders import a_charger

# OCPP 1.6 §5, the operations initiated by the central system.
SPECIFIED = [
    *("CancelReservation", "ChangeAvailability", "ChangeConfiguration", "ClearCache", "ClearChargingProfile"),
    *("DataTransfer", "GetCompositeSchedule", "GetConfiguration", "GetDiagnostics", "GetLocalListVersion"),
    *("RemoteStartTransaction", "RemoteStopTransaction", "ReserveNow", "Reset", "SendLocalList"),
    *("SetChargingProfile", "TriggerMessage", "UnlockConnector", "UpdateFirmware"),
]


def test_the_table_holds_the_19_commands_of_ocpp_1_6():
    assert sorted(ACTIONS) == SPECIFIED and len(SPECIFIED) == 19


@pytest.mark.parametrize("name", SPECIFIED)
def test_each_simulated_reply_is_valid(name):
    schemas.check(f"{name}Response", ACTIONS[name].simulated)


@pytest.mark.parametrize("name", SPECIFIED)
def test_each_action_has_its_own_task_and_is_one_of_the_library(name):
    assert TASKS[name].name == f"commands.{name}"
    assert hasattr(call, name) and hasattr(call_result, name)


@pytest.mark.django_db
def test_what_the_central_system_owns_is_filled_in():
    charger = a_charger()
    first, second = {}, {"reservationId": 7}
    fill_in(ACTIONS["ReserveNow"], first, charger)
    fill_in(ACTIONS["ReserveNow"], second, charger)
    assert first["reservationId"] > 0 and second["reservationId"] == 7


@pytest.mark.django_db
def test_a_profile_gets_its_id_and_a_list_its_version():
    charger = a_charger()
    profile, tags = {"csChargingProfiles": {}}, {}
    fill_in(ACTIONS["SetChargingProfile"], profile, charger)
    fill_in(ACTIONS["SendLocalList"], tags, charger)
    assert profile["csChargingProfiles"]["chargingProfileId"] > 0 and tags == {"listVersion": 1}
