"""Every fault that the schemas allow in a message or a reply gets the exact code and leaves no trace."""

import json

import psycopg
import pytest
from django.apps import apps

from chargers.models import Charger
from commands.actions.table import ACTIONS
from core.ocpp.schemas import Violation
from core.ocpp.versions import OCPP16, OCPP201
from gateway.protocols import HANDLERS
from tests.support import conformance_table as table
from tests.support import negatives
from tests.support.live import an_id
from tests.support.requests201 import asked
from tests.support.station import Station
from tests.support.station201 import Station201

STATIONS = {OCPP16: Station, OCPP201: Station201}
RECEIVED = [(version, action) for version in STATIONS for action in sorted(HANDLERS[version])]
SENT = [(version, action) for version in STATIONS for action in sorted(ACTIONS[version])]
WITH_DATES = {"StatusNotification", "StartTransaction", "StopTransaction", "MeterValues", "SecurityEventNotification"}
DATES = [(version, action) for version, action in RECEIVED if action in WITH_DATES | {"TransactionEvent"}]
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
# Not what a charger has sent: commands, and records of what was refused. Two others are counted in part.
NOT_STORED = {
    "AuditEntry",
    "Command",
    "CommandDayTotal",
    "CommandMonthTotal",
    "StaleCommandDay",
    "Event",
    "Message",
    "Finding",
    "Incident",
    "OrphanStop",
    "Reservation",
}
STORED = [
    (model._meta.db_table, field.column)
    for model in apps.get_models()
    if model.__name__ not in NOT_STORED
    for field in model._meta.concrete_fields
    if field.related_model is Charger
]


@pytest.fixture(scope="module")
def records(system):
    with psycopg.connect(system.database_url, autocommit=True) as connection:
        yield connection


def traces(records, charger):
    counts = [f"(SELECT count(*) FROM {table} WHERE {column} = c.id)" for table, column in STORED]
    # What was refused waits there for an operator.
    counts.append("(SELECT count(*) FROM transactions_orphanstop WHERE charger_id = c.id AND refused_because = '')")
    counts.append("(SELECT count(*) FROM transactions_reservation r WHERE charger_id = c.id AND state <> 'Inactive')")
    return records.execute(TRACES.format(counts=", ".join(counts)), {"charger": charger}).fetchone()


@pytest.fixture
def wire(system, version):
    """A charger of `version` that has sent nothing yet."""
    with STATIONS[version](system, an_id()) as station:
        yield station.connect()


def send(station, message_id, action, payload):
    station.socket.send(json.dumps([2, message_id, action, payload]))
    return json.loads(station.socket.recv(timeout=10))


def serves(station):
    return send(station, "beat", "Heartbeat", {})[:2] == [3, "beat"]


def messages(cases):
    """Parametrize a test by `cases`: (version, action)."""
    return pytest.mark.parametrize(("version", "action"), cases, ids=[f"{v}-{action}" for v, action in cases])


def test_every_fault_of_every_schema_has_its_code():
    """The faults of replies, of which only some are sent, and of messages that come later."""
    own = {"SignedFirmwareStatusNotificationResponse", "SecurityEventNotificationResponse"}  # are never received
    for version in STATIONS:
        for name in version.schemas.by_name.keys() - own - {"LogStatusNotificationResponse"}:
            for case in negatives.cases(name, version):
                with pytest.raises(Violation) as violation:
                    version.schemas.by_name[name].check(case.payload)
                assert violation.value.code == case.code, str(case)


@messages(RECEIVED)
def test_every_fault_of_a_message_has_its_code_and_leaves_no_trace(wire, records, version, action):
    charger, wrong = wire.primary_key(), []
    before, faults = traces(records, charger), negatives.cases(action, version)
    for number, case in enumerate(faults):
        answer = send(wire, f"{number}", action, case.payload)
        if answer[:3] != [4, f"{number}", case.code] or len(answer) != 5 or answer[4] != {}:
            wrong.append(f"{case}: {answer}")
    table.count(f"{version} {action} from a charger", len(faults), wrong)
    assert wrong == [] and serves(wire) and traces(records, charger) == before


@messages(RECEIVED)
@pytest.mark.parametrize("payload", [[], "x", 1, True])
def test_a_payload_that_is_no_object_has_its_code(wire, version, action, payload):
    assert send(wire, "1", action, payload)[:3] == [4, "1", version.frame_codes.payload] and serves(wire)


@messages(RECEIVED)
def test_a_full_message_is_answered(wire, version, action):
    answer = send(wire, "1", action, negatives.sample(action, version))
    assert answer[:2] == [3, "1"]
    version.schemas.check_response(action, answer[2], formats=True)


@messages(DATES)
@pytest.mark.parametrize("date", ["2022-02-29T00:00:00Z", "soon", "", "0001-01-01T00:00:00Z", "1970-01-01"])
def test_an_invalid_date_is_stored_unchanged_and_is_no_error(wire, version, action, date):
    payload = json.loads(json.dumps(negatives.sample(action, version)).replace("2026-01-01T00:00:00Z", date))
    assert send(wire, "1", action, payload)[:2] == [3, "1"] and serves(wire)


def faults_of_reply(version, action):
    """Every fault of a reply in OCPP 1.6; of 2.0.1, whose replies quote the long requests, one of each kind."""
    faults = negatives.cases(f"{action}Response", version)
    return faults if version is OCPP16 else list({case.fault: case for case in faults}.values())


@messages(SENT)
def test_a_faulty_reply_ends_its_command_as_invalid_and_leaves_no_trace(system, wire, records, version, action):
    assert serves(wire)  # its version is stored then
    charger, wrong = wire.primary_key(), []
    before, faults = traces(records, charger), faults_of_reply(version, action)
    request = asked(action) if version is OCPP201 else REQUESTS.get(action, negatives.sample(action))
    for case in faults:
        task = system.ask(wire.identity, action, request)
        wire.receive(action)
        wire.answer(**case.payload)
        task = system.finished(task)
        body = (task["outcome"], task["simulated"], task["response"], (task["error"] or {}).get("code"))
        if body != ("invalid_response", False, case.payload, case.code) or traces(records, charger) != before:
            wrong.append(f"{case}: {body}")
    assert serves(wire)
    table.count(f"{version} reply to {action}", len(faults), wrong)
    assert wrong == []
