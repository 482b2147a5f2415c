"""The library of charging profiles, and their validation (OCPP 1.6 §3.13, errata 3.56-3.71)."""

import copy

import pytest

from chargers.models import InstalledProfile, Variable
from commands.actions.ocpp16 import charging
from commands.models import ChargingProfile, Command
from tests.support.builders import a_charger, a_command, a_transaction, tell

pytestmark = pytest.mark.django_db(transaction=True)
BASE = "/api/ocpp/charging-profiles/"
PROFILE = {
    "stackLevel": 0,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Absolute",
    "chargingSchedule": {
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}, {"startPeriod": 60, "limit": 8.1}],
    },
}


def changed(path, value):
    """Return PROFILE with one member changed, or removed where `value` is None."""
    profile = copy.deepcopy(PROFILE)
    *outer, member = path.split(".")
    inner = profile
    for step in outer:
        inner = inner[int(step)] if step.isdigit() else inner[step]
    inner[member] = value
    return profile


PERIODS = "chargingSchedule.chargingSchedulePeriod"
FORBIDDEN = [
    (changed(f"{PERIODS}.0.startPeriod", 5), "start at 0"),
    (changed(PERIODS, []), "start at 0"),
    (changed(f"{PERIODS}.1.startPeriod", 0), "follow each other"),
    (changed(f"{PERIODS}.0.limit", 21.44), "multiple"),
    (changed("stackLevel", -1), "stack level"),
    (changed("recurrencyKind", "Daily"), "Recurring"),
    (changed("transactionId", 5), "TxProfile"),
    (changed("stackLevel", "0"), "type"),
]


@pytest.mark.parametrize(("profile", "why"), FORBIDDEN)
def test_an_invalid_profile_is_refused_in_the_library_and_in_a_command(api, profile, why):
    kept = api.post(BASE, {"description": "d", "profile": profile}, "application/json")
    sent = send(api, a_charger(), profile)
    for answer in (kept, sent):
        assert answer.status_code == 400, answer.json()
        assert why in str(answer.json()), answer.json()
    assert not ChargingProfile.objects.exists()
    assert not Command.objects.exists()


def send(api, charger, profile, connector_id=1):
    payload = {"connectorId": connector_id, "csChargingProfiles": profile}
    body = {"charger_id": charger.identity, "action": "SetChargingProfile", "payload": payload}
    return api.post("/api/ocpp/commands/", body, "application/json")


def test_a_profile_of_the_library_is_sent_by_its_id(api):
    made = api.post(BASE, {"description": "night", "profile": PROFILE}, "application/json").json()
    assert made["profile"] == {"chargingProfileId": made["id"], **PROFILE}
    sent = send(api, a_charger(), {"chargingProfileId": made["id"]}).json()
    assert sent["payload"]["csChargingProfiles"] == made["profile"]


def test_profiles_of_the_library_are_read_changed_and_deleted(api):
    page = BASE + str(api.post(BASE, {"description": "night", "profile": PROFILE}, "application/json").json()["id"])
    assert api.post(BASE, {"description": "night", "profile": PROFILE}, "application/json").status_code == 400
    assert api.get(f"{BASE}?description=night").json()["count"] == 1
    lower = changed(f"{PERIODS}.0.limit", 6.0)
    patched = api.patch(f"{page}/", {"profile": lower}, "application/json").json()
    assert patched["profile"]["chargingSchedule"] == lower["chargingSchedule"]
    assert api.delete(f"{page}/").status_code == 204
    assert api.get(BASE).json()["count"] == 0


TX = changed("chargingProfilePurpose", "TxProfile")


@pytest.mark.parametrize(
    ("profile", "connector", "warning"),
    [
        (PROFILE, 1, None),
        (TX, 1, "No transaction is under way on connector 1"),
        (TX | {"transactionId": 77}, 1, "Transaction 77 is not under way"),
        (TX, 0, "belongs on the connector"),
        (changed("chargingProfilePurpose", "ChargePointMaxProfile"), 1, "belongs on connector 0"),
        (changed("chargingProfileKind", "Recurring"), 1, "needs a recurrencyKind"),
        (changed("stackLevel", 9), 1, "ChargeProfileMaxStackLevel is 3"),
    ],
)
def test_a_questionable_profile_is_sent_with_a_warning(api, profile, connector, warning):
    charger = a_charger()
    Variable.objects.create(charger=charger, variable="ChargeProfileMaxStackLevel", value="3")
    answer = send(api, charger, profile, connector)
    assert answer.status_code == 202
    assert warning in answer.json()["warning"] if warning else answer.json()["warning"] == ""


def test_a_profile_for_an_ongoing_transaction_has_no_warning(api):
    transaction = a_transaction()
    assert send(api, transaction.charger, TX | {"transactionId": transaction.pk}).json()["warning"] == ""


@pytest.mark.parametrize(("profile", "status"), [(TX, 202), (PROFILE, 400), (TX | {"transactionId": 1}, 400)])
def test_a_remote_start_accepts_only_a_transaction_profile(api, profile, status):
    body = {"charger_id": a_charger().identity, "action": "RemoteStartTransaction"}
    body["payload"] = {"idTag": "A", "chargingProfile": profile}
    assert api.post("/api/ocpp/commands/", body, "application/json").status_code == status


def installed(charger):
    return sorted(charger.installed_profiles.values_list("charging_profile_id", flat=True))


def cleared(charger, **criteria):
    charging.was_cleared(a_command(charger, "ClearChargingProfile", criteria, response={"status": "Accepted"}))
    return installed(charger)


@pytest.fixture
def charger():
    charger = a_charger()
    for number, connector, level in ((1, 0, 0), (2, 1, 0), (3, 1, 1), (4, 2, 1)):
        profile = PROFILE | {"chargingProfileId": number, "stackLevel": level}
        charging.install(charger, connector, profile, None)
    return charger


@pytest.mark.parametrize(
    ("criteria", "left"),
    [
        ({}, []),
        ({"id": 3}, [1, 2, 4]),
        ({"connectorId": 1}, [1, 4]),
        ({"stackLevel": 1}, [1, 2]),
        ({"connectorId": 1, "stackLevel": 1}, [1, 2, 4]),
        ({"chargingProfilePurpose": "TxProfile"}, [1, 2, 3, 4]),
    ],
)
def test_only_profiles_that_meet_every_criterion_are_cleared(charger, criteria, left):
    assert cleared(charger, **criteria) == left


def test_a_profile_replaces_one_with_the_same_id_or_stack_level(charger):
    charging.install(charger, 1, PROFILE | {"chargingProfileId": 9, "stackLevel": 0}, None)
    charging.install(charger, 2, PROFILE | {"chargingProfileId": 3, "stackLevel": 5}, None)
    assert installed(charger) == [1, 3, 4, 9]
    assert InstalledProfile.objects.get(charging_profile_id=3).evse_id == 2


def set_profile(charger, connector_id=1, **more):
    profile = {"chargingProfileId": 9, **TX, **more}
    payload = {"connectorId": connector_id, "csChargingProfiles": profile}
    charging.was_set(a_command(charger, "SetChargingProfile", payload, response={"status": "Accepted"}))
    return installed(charger)


def test_a_profile_is_not_stored_after_its_transaction_ended():
    transaction = a_transaction()
    assert set_profile(transaction.charger, transactionId=transaction.pk) == [9]
    reply = {"transactionId": transaction.pk, "meterStop": 2000, "timestamp": "2025-02-26T13:00:00Z"}
    tell(transaction.charger, "StopTransaction", **reply)
    assert installed(transaction.charger) == []
    assert set_profile(transaction.charger, transactionId=transaction.pk) == []


def test_a_profile_without_a_transaction_id_belongs_to_the_ongoing_one():
    transaction = a_transaction()
    assert set_profile(transaction.charger) == [9]
    assert InstalledProfile.objects.get().transaction_id == transaction.pk
