"""Each OCPP version encodes every intent as a valid command, and each intent has a name and checked parameters."""

from datetime import UTC, datetime

import pytest

from chargers.services.variables import VariableName
from commands.actions.intents import (
    BY_NAME,
    Availability,
    ClearProfile,
    FetchLog,
    Install,
    Limit,
    ReadConfiguration,
    RenewCertificate,
    Reset,
    SetProfile,
    SetVariable,
    Start,
    Stop,
    Trigger,
    Unlock,
    Verbatim,
    intent_of,
    name_and_payload,
)
from commands.actions.table import ACTIONS, INTENTS, encode
from core.ocpp.schemas import Violation
from core.ocpp.versions import OCPP16, OCPP201
from tests.support.builders import a_charger

NEW_YEAR = datetime(2036, 1, 1, tzinfo=UTC)
PROFILE = {
    "stackLevel": 0,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": {
        "chargingRateUnit": "W",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 11000.0}],
    },
}
DAILY = {
    "chargingProfileId": 7,
    "stackLevel": 1,
    "chargingProfilePurpose": "ChargePointMaxProfile",
    "chargingProfileKind": "Recurring",
    "recurrencyKind": "Daily",
    "chargingSchedule": {
        "startSchedule": "2036-01-01T00:00:00.000Z",
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.0}, {"startPeriod": 14400, "limit": 16.0}],
    },
}
EXAMPLES = [
    (Start("ABC"), ("RemoteStartTransaction", {"idTag": "ABC"})),
    (Start("ABC", evse_id=2), ("RemoteStartTransaction", {"idTag": "ABC", "connectorId": 2})),
    (Stop("12"), ("RemoteStopTransaction", {"transactionId": 12})),
    (Reset(), ("Reset", {"type": "Soft"})),
    (Reset(is_immediate=True), ("Reset", {"type": "Hard"})),
    (Unlock(1), ("UnlockConnector", {"connectorId": 1})),
    (Availability(is_operative=False), ("ChangeAvailability", {"connectorId": 0, "type": "Inoperative"})),
    (Availability(is_operative=True, evse_id=2), ("ChangeAvailability", {"connectorId": 2, "type": "Operative"})),
    (Trigger("BootNotification"), ("TriggerMessage", {"requestedMessage": "BootNotification"})),
    (
        Trigger("StatusNotification", evse_id=1),
        ("TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 1}),
    ),
    (Limit(11000.0, "W", evse_id=1), ("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": PROFILE})),
    (ReadConfiguration(), ("GetConfiguration", {})),
    (FetchLog(), ("GetDiagnostics", {})),
    (FetchLog("security"), ("GetLog", {"logType": "SecurityLog"})),
    (RenewCertificate(), ("ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"})),
    (Verbatim("ClearCache"), ("ClearCache", {})),
    (
        SetVariable(VariableName("HeartbeatInterval"), "60"),
        ("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "60"}),
    ),
    (
        SetProfile(7, 1, ((0, 6.0), (14400, 16.0)), repeats="Daily", begins_at=NEW_YEAR),
        ("SetChargingProfile", {"connectorId": 0, "csChargingProfiles": DAILY}),
    ),
    (ClearProfile(7), ("ClearChargingProfile", {"id": 7})),
    (
        Install("https://host/1.bin", NEW_YEAR),
        ("UpdateFirmware", {"location": "https://host/1.bin", "retrieveDate": "2036-01-01T00:00:00.000Z"}),
    ),
]
NAMELESS = (ClearProfile, Install, SetProfile, SetVariable)


@pytest.mark.parametrize("version", [version for version, actions in ACTIONS.items() if actions], ids=str)
def test_every_intent_has_a_name_an_encoder_and_an_example(version):
    examples = {type(intent) for intent, _ in EXAMPLES}
    assert INTENTS[version].keys() == {*BY_NAME.values(), *NAMELESS} == examples - {Verbatim}


@pytest.mark.django_db
@pytest.mark.parametrize(("intent", "command"), EXAMPLES, ids=str)
def test_an_intent_becomes_a_valid_command_of_ocpp_1_6(intent, command, settings):
    settings.PUBLIC_URL = "https://example.org"
    action, payload = encode(OCPP16, intent)
    assert (action, payload) == command
    ACTIONS[OCPP16][action].complete(payload, a_charger())
    OCPP16.schemas.check_request(action, payload, formats=True)
    assert not list(ACTIONS[OCPP16][action].check(payload, a_charger()))


@pytest.mark.parametrize("intent", [intent for intent, _ in EXAMPLES if not isinstance(intent, NAMELESS)], ids=str)
def test_an_intent_is_restored_from_its_name_and_parameters(intent):
    assert intent_of(*name_and_payload(intent)) == intent


@pytest.mark.parametrize(
    ("name", "payload", "field"),
    [
        ("start", {}, "id_tag"),
        ("start", {"id_tag": 7}, "id_tag"),
        ("start", {"id_tag": "A", "evse_id": None}, "evse_id"),
        ("reset", {"is_immediate": "yes"}, "is_immediate"),
        ("reset", {"type": "Soft"}, "type"),
        ("unlock", {"evse_id": True}, "evse_id"),
        ("unlock", {"evse_id": -1}, "evse_id"),
        ("unlock", {"evse_id": 2**31}, "evse_id"),
        ("trigger", {"message": "Nonsense"}, "message"),
        ("limit", {"amount": "16"}, "amount"),
        ("limit", {"amount": 16, "unit": "V"}, "unit"),
    ],
)
def test_an_invalid_parameter_is_named(name, payload, field):
    with pytest.raises(Violation) as violation:
        intent_of(name, payload)
    assert violation.value.field == field


@pytest.mark.parametrize(
    ("version", "intent", "field"),
    [
        (OCPP16, Stop("a-uuid"), "reference"),
        (OCPP16, Unlock(1, connector_id=2), "connector_id"),
        (OCPP16, Install("https://host/1.bin", NEW_YEAR, install_at=NEW_YEAR), "install_date"),
        (OCPP201, Verbatim("GetConfiguration"), "action"),
    ],
    ids=str,
)
def test_an_intent_that_a_version_cannot_express_is_refused(version, intent, field):
    with pytest.raises(Violation) as violation:
        encode(version, intent)
    assert violation.value.field == field
