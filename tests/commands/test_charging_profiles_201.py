"""Charging profiles of OCPP 2.0.1: what may be sent, and what is stored."""

import copy
from datetime import UTC, datetime

import pytest

from chargers.models import InstalledProfile, Variable
from commands.actions.intents import Limit
from commands.actions.ocpp201 import charging, vehicles
from commands.actions.table import encode
from commands.models import ChargingProfile, Command
from commands.services import creation
from tests.support.builders import a_charger, a_command, tell
from tests.support.charging201 import BEGIN, LATER, NOW, a_profile, a_session, a_station, install
from tests.support.payloads import PROFILE as OF_16

pytestmark = pytest.mark.django_db(transaction=True)
LIBRARY = "/api/ocpp/charging-profiles/"
MAX_PROFILE, TX_PROFILE = "ChargingStationMaxProfile", "TxProfile"


def changed(path, value, **members):
    """Return a profile with one member changed."""
    profile = copy.deepcopy(a_profile(**members))
    *outer, member = path.split(".")
    inner = profile
    for step in outer:
        inner = inner[int(step)] if step.isdigit() else inner[step]
    inner[int(member) if member.isdigit() else member] = value
    return profile


def send(api, charger, profile, evse=1, status=202):
    payload = {"evseId": evse, "chargingProfile": profile}
    body = {"charger_id": charger.identity, "action": "SetChargingProfile", "payload": payload}
    answer = api.post("/api/ocpp/commands/", body, "application/json")
    assert answer.status_code == status, answer.json()
    return answer.json()


PERIODS = "chargingSchedule.0.chargingSchedulePeriod"
FORBIDDEN = [
    (changed(f"{PERIODS}.0.startPeriod", 5), "start at 0"),
    (changed(PERIODS, [{"startPeriod": 0, "limit": 6}] * 2), "follow each other"),
    (changed(f"{PERIODS}.0.limit", -1), "negative"),
    (changed(f"{PERIODS}.0.limit", 6.05), "multiple of 0.1"),
    (changed(f"{PERIODS}.0.numberPhases", 4), "1, 2 or 3"),
    (changed(f"{PERIODS}.0.phaseToUse", 2), "numberPhases of 1"),
    (changed("stackLevel", -1), "stack level"),
    (changed("recurrencyKind", "Daily"), "Recurring"),
    (changed("chargingProfileKind", "Recurring"), "Recurring"),
    (changed("chargingProfileKind", "Relative"), "startSchedule"),
    (changed("chargingProfilePurpose", "ChargingStationExternalConstraints"), "external system"),
    (a_profile(MAX_PROFILE, kind="Relative"), "can't be Relative"),
    (changed("transactionId", "tx"), "TxProfile"),
]


@pytest.mark.parametrize(("profile", "why"), FORBIDDEN)
def test_a_forbidden_profile_is_refused_in_the_library_and_in_a_command(api, profile, why):
    evse = 0 if profile["chargingProfilePurpose"] == MAX_PROFILE else 1
    assert why in str(send(api, a_station(), profile, evse, 400))
    kept = api.post(LIBRARY, {"description": "d", "profile": profile}, "application/json")
    assert (kept.status_code, why in str(kept.json())) == (400, True), kept.json()
    assert not Command.objects.exists()


@pytest.mark.parametrize(
    ("profile", "evse", "why"),
    [
        (a_profile(MAX_PROFILE), 1, "belongs on EVSE 0"),
        (a_profile(TX_PROFILE), 0, "not on 0"),
        (a_profile(TX_PROFILE), 1, "under way on this EVSE"),
        (a_profile(TX_PROFILE, transactionId="gone"), 1, "is not under way on EVSE 1"),
        (changed("chargingSchedule", a_profile()["chargingSchedule"] * 2), 1, "whose needs are known"),
        (changed(f"{PERIODS}.0", {"startPeriod": 0, "limit": 6, "numberPhases": 1, "phaseToUse": 1}), 1, "ACPhase"),
    ],
)
def test_a_profile_that_does_not_fit_its_place_is_refused(api, profile, evse, why):
    assert why in str(send(api, a_station(), profile, evse, 400))


def test_the_phase_may_be_chosen_if_the_charger_can_switch_phases(api):
    charger = a_station(ACPhaseSwitchingSupported="true")
    period = {"startPeriod": 0, "limit": 6, "numberPhases": 1, "phaseToUse": 1}
    assert send(api, charger, changed(f"{PERIODS}.0", period))["warning"] == ""


def test_a_tx_profile_without_a_transaction_is_for_the_only_one_on_the_evse(api):
    session = a_session()
    sent = send(api, session.charger, a_profile(TX_PROFILE))["payload"]["chargingProfile"]
    assert sent["transactionId"] == session.reference
    other = a_session(session.charger, evse=2)
    named = a_profile(TX_PROFILE, transactionId=other.reference)
    assert "under way on EVSE 1" in str(send(api, session.charger, named, 1, 400))


def test_what_may_be_left_out_is_added(api):
    profile = a_profile()
    for name in ("id", "startSchedule"):
        del profile["chargingSchedule"][0][name]
    sent = send(api, a_station(), profile)["payload"]["chargingProfile"]
    assert sent["id"] > 0 and sent["chargingSchedule"][0]["id"] == 1
    assert sent["chargingSchedule"][0]["startSchedule"]


# --- profiles that exclude each other ----------------------------------------------------------


@pytest.mark.parametrize(
    ("new", "evse", "is_refused"),
    [
        (a_profile(id=2), 1, True),
        (a_profile(id=1), 1, False),
        (a_profile(id=2), 0, True),
        (a_profile(id=2), 2, False),
        (a_profile(id=2, stackLevel=1), 1, False),
        (a_profile(id=2, validFrom=LATER), 1, False),
        (a_profile(MAX_PROFILE, id=2), 0, False),
    ],
)
def test_a_profile_beside_an_equal_one_is_refused(api, new, evse, is_refused):
    charger = a_station()
    install(charger, 1, a_profile(id=1, validTo=LATER))
    answer = send(api, charger, new, evse, 400 if is_refused else 202)
    assert not is_refused or "clear it" in str(answer)


def test_a_profile_without_an_id_replaces_the_one_in_its_place(api):
    charger = a_station()
    install(charger, 1, a_profile(id=7))
    assert send(api, charger, a_profile())["payload"]["chargingProfile"]["id"] == 7
    assert send(api, charger, a_profile(stackLevel=1))["payload"]["chargingProfile"]["id"] != 7
    assert "clear it" in str(send(api, charger, a_profile(), 0, 400))


def test_conflicts_and_what_is_effective_are_shown(api):
    charger = a_station()
    install(charger, 0, a_profile(id=1))
    install(charger, 1, a_profile(id=2))
    install(charger, 1, a_profile(id=3, stackLevel=1))
    install(charger, 1, a_profile(id=4, stackLevel=2, validFrom=LATER))
    rows = api.get(f"/api/ocpp/chargers/{charger.identity}/").json()["charging_profiles"]
    shown = {row["charging_profile_id"]: row for row in rows}
    assert {number: row["effective"] for number, row in shown.items()} == {1: True, 2: False, 3: True, 4: False}
    assert {number: row["conflicts_with"] for number, row in shown.items()} == {1: [2], 2: [1], 3: [], 4: []}
    assert (shown[1]["evse_id"], shown[1]["connector_id"], shown[1]["source"]) == (0, 0, "CSO")


# --- what the charger reported -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "profile", "warning"),
    [
        (
            {"PeriodsPerSchedule": "1"},
            changed(PERIODS, [{"startPeriod": n, "limit": 6} for n in (0, 9)]),
            "1 periods",
        ),
        ({"ProfileStackLevel": "3"}, a_profile(stackLevel=4), "highest stack level is 3"),
        ({"RateUnit": "W"}, a_profile(), "unit A"),
        ({"RateUnit": "A,W"}, a_profile(), ""),
        ({"Enabled": "false"}, a_profile(), "disabled"),
    ],
)
def test_a_profile_beyond_the_limits_of_the_charger_is_sent_with_a_warning(api, variables, profile, warning):
    assert warning in send(api, a_station(**variables), profile)["warning"]


def test_one_profile_too_many_has_a_warning(api):
    charger = a_station()
    entries = {"component": "SmartChargingCtrlr", "variable": "Entries", "instance": "ChargingProfiles"}
    Variable.objects.create(charger=charger, **entries, value="1", characteristics={"max_limit": 1})
    install(charger, 2, a_profile(id=1))
    assert "stores 1 profiles" in send(api, charger, a_profile())["warning"]


# --- the library -------------------------------------------------------------------------------


def a_library_profile(api, profile):
    made = api.post(LIBRARY, {"description": "d", "profile": profile}, "application/json")
    assert made.status_code == 201, made.json()
    return made.json()


def test_a_profile_of_either_version_is_sent_to_chargers_of_both(api):
    for profile, id_name in ((OF_16, "chargingProfileId"), (a_profile(), "id")):
        made = a_library_profile(api, profile)
        assert made["profile"][id_name] == made["id"]
        new = send(api, a_station(), {"id": made["id"]})["payload"]["chargingProfile"]
        payload = {"connectorId": 1, "csChargingProfiles": {"chargingProfileId": made["id"]}}
        body = {"charger_id": a_charger().identity, "action": "SetChargingProfile", "payload": payload}
        old = api.post("/api/ocpp/commands/", body, "application/json").json()["payload"]["csChargingProfiles"]
        limits = [period["limit"] for period in new["chargingSchedule"][0]["chargingSchedulePeriod"]]
        assert [period["limit"] for period in old["chargingSchedule"]["chargingSchedulePeriod"]] == limits
        assert (new["id"], old["chargingProfileId"]) == (made["id"], made["id"])
        ChargingProfile.objects.all().delete()


def test_a_profile_that_1_6_cannot_express_is_refused_there(api):
    period = {"startPeriod": 0, "limit": 6, "numberPhases": 1, "phaseToUse": 1}
    made = a_library_profile(api, changed(f"{PERIODS}.0", period))
    payload = {"connectorId": 1, "csChargingProfiles": {"chargingProfileId": made["id"]}}
    body = {"charger_id": a_charger().identity, "action": "SetChargingProfile", "payload": payload}
    answer = api.post("/api/ocpp/commands/", body, "application/json")
    assert (answer.status_code, "phaseToUse" in str(answer.json())) == (400, True)


# --- the answers -------------------------------------------------------------------------------


def answered(charger, action, payload, status, apply):
    columns = {"sent_at": datetime.now(UTC), "finished_at": datetime.now(UTC)}
    return apply(a_command(charger, action, payload, response={"status": status}, **columns))


def test_an_accepted_profile_is_stored_with_its_validity_and_transaction():
    session = a_session()
    profile = a_profile(TX_PROFILE, id=1, transactionId=session.reference, validFrom=NOW, validTo=LATER)
    payload = {"evseId": 1, "chargingProfile": profile}
    answered(session.charger, "SetChargingProfile", payload, "Rejected", vehicles.was_set)
    assert not InstalledProfile.objects.exists()
    answered(session.charger, "SetChargingProfile", payload, "Accepted", vehicles.was_set)
    row = InstalledProfile.objects.get()
    assert (row.transaction_id, row.evse_id) == (session.pk, 1)
    assert row.valid_from == BEGIN < row.valid_to


def test_a_profile_is_not_stored_after_its_transaction_has_ended():
    session = a_session(stop_received_at=NOW)
    payload = {"evseId": 1, "chargingProfile": a_profile(TX_PROFILE, id=1, transactionId=session.reference)}
    answered(session.charger, "SetChargingProfile", payload, "Accepted", vehicles.was_set)
    assert not InstalledProfile.objects.exists()


@pytest.fixture
def charger():
    """A charger with four profiles and an external constraint."""
    charger = a_station()
    for number, evse, level in ((1, 0, 0), (2, 1, 1), (3, 1, 2), (4, 2, 2)):
        install(charger, evse, a_profile(id=number, stackLevel=level))
    install(charger, 0, a_profile("ChargingStationExternalConstraints", id=-1), source="EMS")
    return charger


@pytest.mark.parametrize(
    ("payload", "status", "left"),
    [
        ({"chargingProfileId": 3}, "Accepted", [-1, 1, 2, 4]),
        ({"chargingProfileId": 3}, "Unknown", [-1, 1, 2, 4]),
        ({"chargingProfileCriteria": {"evseId": 1}}, "Accepted", [-1, 1, 4]),
        ({"chargingProfileCriteria": {"stackLevel": 2}}, "Accepted", [-1, 1, 2]),
        ({"chargingProfileCriteria": {"evseId": 0}}, "Accepted", [-1, 2, 3, 4]),
        ({"chargingProfileCriteria": {"chargingProfilePurpose": "TxProfile"}}, "Accepted", [-1, 1, 2, 3, 4]),
    ],
)
def test_only_profiles_that_meet_every_criterion_are_cleared(charger, payload, status, left):
    answered(charger, "ClearChargingProfile", payload, status, vehicles.was_cleared)
    assert ids(charger) == left


def ids(charger):
    return sorted(charger.installed_profiles.values_list("charging_profile_id", flat=True))


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("ClearChargingProfile", {}),
        ("ClearChargingProfile", {"chargingProfileCriteria": {}}),
        ("ClearChargingProfile", {"chargingProfileId": 1, "chargingProfileCriteria": {"evseId": 1}}),
        (
            "ClearChargingProfile",
            {"chargingProfileCriteria": {"chargingProfilePurpose": "ChargingStationExternalConstraints"}},
        ),
        ("GetChargingProfiles", {"chargingProfile": {}}),
        ("GetChargingProfiles", {"chargingProfile": {"chargingProfileId": [1], "stackLevel": 1}}),
    ],
)
def test_a_request_without_usable_criteria_is_refused(api, action, payload):
    body = {"charger_id": a_station().identity, "action": action, "payload": payload}
    assert api.post("/api/ocpp/commands/", body, "application/json").status_code == 400


# --- reports -----------------------------------------------------------------------------------


def get(charger, criteria, **evse):
    payload = {"requestId": 5, "chargingProfile": criteria, **evse}
    columns = {"state": "finished", "outcome": "answered", "response": {"status": "Accepted"}}
    return a_command(charger, "GetChargingProfiles", payload, request_id=5, sent_at=datetime.now(UTC), **columns)


def report(charger, profiles, evse=0, request_id=5, source="CSO", **members):
    part = {"requestId": request_id, "chargingLimitSource": source, "evseId": evse, "chargingProfile": profiles}
    assert tell(charger, "ReportChargingProfiles", **part, **members) == {}


def test_a_whole_report_replaces_what_was_asked_for(charger):
    get(charger, {"chargingProfilePurpose": "TxDefaultProfile"}, evseId=1)
    report(charger, [a_profile(id=2, stackLevel=1, limit=9.0)], 1, tbc=True)
    assert ids(charger) == [-1, 1, 2, 3, 4]
    report(charger, [a_profile(id=8, stackLevel=3)], 1)
    assert ids(charger) == [-1, 1, 2, 4, 8]
    row = InstalledProfile.objects.get(charging_profile_id=2)
    assert row.reported_at and row.profile["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"] == 9.0


def test_a_report_that_nobody_asked_for_deletes_nothing(charger):
    report(charger, [a_profile(id=9)], 2, request_id=77, source="SO")
    assert ids(charger) == [-1, 1, 2, 3, 4, 9]
    assert InstalledProfile.objects.get(charging_profile_id=9).source == "SO"


def test_a_repeated_report_changes_nothing(charger):
    get(charger, {"chargingProfileId": [1]})
    for _ in range(2):
        report(charger, [a_profile(id=1)])
    assert ids(charger) == [-1, 1, 2, 3, 4]
    assert len(Command.objects.get().report) == 1


def test_a_charger_without_profiles_has_none_stored(charger):
    command = get(charger, {"stackLevel": 2})
    Command.objects.filter(pk=command.pk).update(response={"status": "NoProfiles"})
    command.refresh_from_db()
    charging.were_requested(command)
    assert ids(charger) == [-1, 1, 2]


def test_a_report_of_the_profile_of_an_ended_transaction_is_not_stored():
    session = a_session(stop_received_at=NOW)
    report(session.charger, [a_profile(TX_PROFILE, id=1, transactionId=session.reference)], 1)
    assert not InstalledProfile.objects.exists()


@pytest.mark.parametrize("evse", [0, 1])
def test_a_limit_of_an_operator_replaces_the_former_one(evse):
    charger = a_station()
    for amount in (16, 8):
        action, payload = encode(charger.version, Limit(amount, evse_id=evse))
        command = creation.create(charger, charger.version, action, payload, {})
        assert command.warning == ""
        answered(charger, action, command.payload, "Accepted", vehicles.was_set)
    row = InstalledProfile.objects.get()
    assert row.profile["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"] == 8
