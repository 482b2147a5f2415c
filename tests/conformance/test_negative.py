"""Every fault that the schemas allow in a message or a reply gets the exact code and leaves no trace."""

import json

import psycopg
import pytest

from commands.actions.ocpp16.table import ACTIONS
from core.ocpp.versions import OCPP16
from gateway.ocpp16 import HANDLERS
from tests.support import conformance_table as table
from tests.support import negatives
from tests.support.live import an_id
from tests.support.station import Station

RECEIVED = sorted(HANDLERS)
DATES = {"StatusNotification", "StartTransaction", "StopTransaction", "MeterValues", "SecurityEventNotification"}
# Where one of everything is not what a central system may send.
PERIOD = {"startPeriod": 0, "limit": 1.5}
SCHEDULE = {"chargingRateUnit": "A", "chargingSchedulePeriod": [PERIOD]}
PROFILE = {
    "stackLevel": 0,
    "chargingProfilePurpose": "TxProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": SCHEDULE,
}
REQUESTS = {
    "SetChargingProfile": {"connectorId": 1, "csChargingProfiles": PROFILE},
    "RemoteStartTransaction": {"idTag": "A", "chargingProfile": PROFILE},
    "ReserveNow": {"connectorId": 1, "expiryDate": "2036-01-01T00:00:00Z", "idTag": "A"},
    "SendLocalList": {"updateType": "Full", "localAuthorizationList": []},
}
# Everything that is kept of one charger, but for when it was seen and how it was answered last.
TRACES = """
SELECT md5(row(c.vendor, c.model, c.serial_number, c.firmware_version, c.last_boot_at, c.registration_status,
        c.firmware_status_at, c.diagnostics_status_at, c.log_status_at, c.local_list_version,
        c.authorization_key_hash, c.security_profile, c.next_security_profile)::text),
    {counts}
FROM chargers_charger c WHERE c.id = %(charger)s
"""
STORED = [
    *("chargers_connector", "chargers_securityevent", "chargers_datatransfer", "chargers_variable"),
    *("chargers_installedprofile", "chargers_installedcertificate", "commands_certificaterequest"),
    *("commands_locallist", "transactions_transaction", "transactions_metervalue", "transactions_unknownidtag"),
]


@pytest.fixture(scope="module")
def records(system):
    with psycopg.connect(system.database_url, autocommit=True) as connection:
        yield connection


def traces(records, charger):
    counts = [f"(SELECT count(*) FROM {name} WHERE charger_id = c.id)" for name in STORED]
    # What was refused waits there for an operator.
    counts.append("(SELECT count(*) FROM transactions_orphanstop WHERE charger_id = c.id AND refused_because = '')")
    counts.append("(SELECT count(*) FROM transactions_reservation r WHERE charger_id = c.id AND state <> 'Inactive')")
    return records.execute(TRACES.format(counts=", ".join(counts)), {"charger": charger}).fetchone()


@pytest.fixture
def wire(system):
    """A charger that has sent nothing yet."""
    with Station(system, an_id()) as station:
        yield station.connect()


def send(station, message_id, action, payload):
    station.socket.send(json.dumps([2, message_id, action, payload]))
    return json.loads(station.socket.recv(timeout=10))


def serves(station):
    return send(station, "beat", "Heartbeat", {})[:2] == [3, "beat"]


@pytest.mark.parametrize("action", RECEIVED)
def test_every_fault_of_a_message_has_its_code_and_leaves_no_trace(wire, records, action):
    charger, wrong = wire.primary_key(), []
    before, faults = traces(records, charger), negatives.cases(action)
    for number, case in enumerate(faults):
        answer = send(wire, f"{number}", action, case.payload)
        good = answer[:3] == [4, f"{number}", case.code] and len(answer) == 5 and answer[4] == {}
        if not (good and serves(wire) and traces(records, charger) == before):
            wrong.append(f"{case}: {answer}")
    table.count(f"{action} from a charger", len(faults), wrong)
    assert wrong == []


@pytest.mark.parametrize("action", RECEIVED)
@pytest.mark.parametrize("payload", [[], "x", 1, True])
def test_a_payload_that_is_no_object_gets_a_formation_violation(wire, action, payload):
    assert send(wire, "1", action, payload)[:3] == [4, "1", "FormationViolation"] and serves(wire)


@pytest.mark.parametrize("action", RECEIVED)
def test_a_full_message_is_answered(wire, action):
    answer = send(wire, "1", action, negatives.sample(action))
    assert answer[:2] == [3, "1"]
    OCPP16.schemas.check_response(action, answer[2], formats=True)


@pytest.mark.parametrize("action", sorted(DATES))
@pytest.mark.parametrize("date", ["2022-02-29T00:00:00Z", "soon", "", "0001-01-01T00:00:00Z", "1970-01-01"])
def test_an_invalid_date_is_stored_unchanged_and_is_no_error(wire, action, date):
    payload = json.loads(json.dumps(negatives.sample(action)).replace("2026-01-01T00:00:00Z", date))
    assert send(wire, "1", action, payload)[:2] == [3, "1"] and serves(wire)


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_every_fault_of_a_reply_ends_its_command_as_invalid_and_leaves_no_trace(system, wire, records, action):
    charger, wrong = wire.primary_key(), []
    before, faults = traces(records, charger), negatives.cases(f"{action}Response")
    request = REQUESTS.get(action, negatives.sample(action))
    for case in faults:
        task = system.ask(wire.identity, action, request)
        wire.receive(action)
        wire.answer(**case.payload)
        task = system.finished(task)
        body = (task["outcome"], task["simulated"], task["response"], (task["error"] or {}).get("code"))
        if body != ("invalid_response", False, case.payload, case.code) or traces(records, charger) != before:
            wrong.append(f"{case}: {body}")
    assert serves(wire)
    table.count(f"reply to {action}", len(faults), wrong)
    assert wrong == []
