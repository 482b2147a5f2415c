"""The table of commands."""

import pytest
from ocpp.v16 import call, call_result

from commands.actions.ocpp16.table import ACTIONS
from commands.models import Command
from commands.tasks import TASKS
from core.ocpp.versions import OCPP16
from tests.support.builders import a_charger

# OCPP 1.6 §5, the operations initiated by the central system, and those of the security whitepaper.
SECURITY = [
    *("CertificateSigned", "DeleteCertificate", "ExtendedTriggerMessage", "GetInstalledCertificateIds", "GetLog"),
    *("InstallCertificate", "SignedUpdateFirmware"),
]
SPECIFIED = [
    *("CancelReservation", "ChangeAvailability", "ChangeConfiguration", "ClearCache", "ClearChargingProfile"),
    *("DataTransfer", "GetCompositeSchedule", "GetConfiguration", "GetDiagnostics", "GetLocalListVersion"),
    *("RemoteStartTransaction", "RemoteStopTransaction", "ReserveNow", "Reset", "SendLocalList"),
    *("SetChargingProfile", "TriggerMessage", "UnlockConnector", "UpdateFirmware"),
]


EVERY = SPECIFIED + SECURITY


def test_the_table_holds_the_19_commands_of_ocpp_1_6_and_the_7_of_the_security_whitepaper():
    assert sorted(ACTIONS) == sorted(EVERY)
    assert (len(SPECIFIED), len(SECURITY)) == (19, 7)


@pytest.mark.parametrize("name", EVERY)
def test_each_simulated_reply_is_valid(name):
    OCPP16.schemas.check_response(name, ACTIONS[name].simulated)


@pytest.mark.parametrize("name", EVERY)
def test_each_action_has_a_task_and_exists_in_the_ocpp_library(name):
    assert TASKS[name].name == f"commands.{name}"
    assert hasattr(call, name)
    assert hasattr(call_result, name)


@pytest.mark.django_db
def test_members_of_the_central_system_are_filled_in():
    charger = a_charger()
    first, second = {}, {"reservationId": 7}
    ACTIONS["ReserveNow"].complete(first, charger)
    ACTIONS["ReserveNow"].complete(second, charger)
    assert first["reservationId"] > 0
    assert second["reservationId"] == 7


@pytest.mark.django_db
def test_a_profile_gets_an_id_and_a_list_a_version():
    charger = a_charger()
    profile, tags = {"csChargingProfiles": {}}, {}
    ACTIONS["SetChargingProfile"].complete(profile, charger)
    ACTIONS["SendLocalList"].complete(tags, charger)
    assert profile["csChargingProfiles"]["chargingProfileId"] > 0
    assert tags == {"listVersion": 1}


@pytest.mark.django_db
def test_a_command_of_another_version_than_that_of_the_charger_is_refused(api):
    charger = a_charger(ocpp_version="ocpp2.0.1")
    body = {"charger_id": str(charger), "action": "ClearCache", "payload": {}}
    answer = api.post("/api/ocpp/commands/", body, "application/json")
    assert answer.status_code == 400
    assert not Command.objects.exists()
    assert answer.json()["error"] == "action: The charger speaks ocpp2.0.1, which has no command ClearCache."
    assert api.get(f"/chargers/{charger}/ask/ClearCache/").status_code == 404
    assert api.get(f"/chargers/{charger}/").status_code == 200


@pytest.mark.django_db
def test_a_charger_that_has_never_connected_gets_commands_of_ocpp_1_6(api):
    body = {"charger_id": str(a_charger()), "action": "ClearCache", "payload": {}}
    assert api.post("/api/ocpp/commands/", body, "application/json").status_code == 202
    assert Command.objects.get().version is OCPP16
