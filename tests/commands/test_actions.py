"""The table of commands."""

import re

import pytest
from django.core.exceptions import ImproperlyConfigured
from ocpp.v16 import call, call_result

from chargers.models import Charger
from commands.actions import table
from commands.actions.base import Action, nothing
from commands.actions.ocpp16.table import ACTIONS
from commands.models import Command
from commands.tasks import TASKS
from core.ocpp.versions import OCPP16
from tests.support.builders import a_charger, a_command
from tools.stack.stack import PROJECT

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
    body = {"charger_id": str(charger), "action": "GetConfiguration", "payload": {}}
    answer = api.post("/api/ocpp/commands/", body, "application/json")
    assert answer.status_code == 400
    assert not Command.objects.exists()
    assert answer.json()["error"] == "action: The charger speaks ocpp2.0.1, which has no command GetConfiguration."
    assert api.get(f"/chargers/{charger}/submit/GetConfiguration/").status_code == 404
    assert api.get(f"/chargers/{charger}/").status_code == 200


def post(api, charger, action="ClearCache", payload=None, **more):
    body = {"charger_id": str(charger), "action": action, "payload": payload or {}, **more}
    return api.post("/api/ocpp/commands/", body, "application/json")


@pytest.mark.django_db
def test_a_charger_that_has_never_connected_gets_commands_of_ocpp_1_6(api):
    assert post(api, a_charger()).json()["ocpp_version"] == "ocpp1.6"
    assert Command.objects.get().version is OCPP16


@pytest.mark.django_db
def test_a_command_may_name_the_version_of_a_charger_that_has_never_connected(api):
    assert post(api, a_charger(), ocpp_version="ocpp2.0.1").json()["ocpp_version"] == "ocpp2.0.1"
    assert post(api, a_charger(), ocpp_version="ocpp1.6").json()["ocpp_version"] == "ocpp1.6"
    assert post(api, a_charger(), ocpp_version="ocpp1.5").status_code == 400


@pytest.mark.django_db
def test_a_command_cannot_name_another_version_than_the_charger_speaks(api):
    refused = post(api, a_charger(ocpp_version="ocpp1.6"), ocpp_version="ocpp2.0.1")
    assert (refused.status_code, refused.json()["error"]) == (
        400,
        "ocpp_version: The charger speaks ocpp1.6, not ocpp2.0.1.",
    )


@pytest.mark.django_db
def test_a_payload_of_another_version_is_refused_as_such(api):
    refused = post(api, a_charger(), "Reset", {"type": "Immediate"})
    assert refused.status_code == 400
    assert refused.json()["error"].endswith("This is a payload of ocpp2.0.1, and the charger speaks ocpp1.6.")
    assert post(api, a_charger(), "Reset", {"type": "Warm"}).json()["error"].count("ocpp") == 0


@pytest.mark.django_db
def test_a_command_of_a_former_version_is_not_submitted_again(api):
    former = a_command(state="finished", outcome="timed_out")
    Charger.objects.update(ocpp_version="ocpp2.0.1")
    refused = api.post(f"/api/ocpp/tasks/{former.task_id}/retry/", {}, "application/json")
    assert (refused.status_code, Command.objects.count()) == (400, 1)
    assert "not ocpp1.6" in refused.json()["error"]


def test_a_command_without_a_schema_is_refused_at_the_start():
    with pytest.raises(ImproperlyConfigured, match=r"of ocpp1\.6 has ResetAll, but its schemas have not"):
        table.with_schemas({OCPP16: {"ResetAll": Action("ResetAll", {})}})


def test_every_command_with_an_effect_is_described():
    page = (PROJECT / "docs/commands.md").read_text()
    described = {
        name for row in re.findall(r"^\| (\w+(?:, \w+)*) \|", page, re.MULTILINE) for name in row.split(", ")
    }
    changing = {
        name
        for name, action in ACTIONS.items()
        if action.answered is not nothing or action.submitted is not nothing or action.delivery
    }
    assert len(changing) > 10
    assert changing - described == set()
