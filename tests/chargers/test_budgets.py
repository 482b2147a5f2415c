"""Budgets of chargers over real sockets: a flood slows only its charger, loses no billed data, and is reported."""

import json
import os
import threading
import time
from contextlib import contextmanager, suppress

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from websockets.exceptions import ConnectionClosed

from chargers.models import Connector
from chargers.services import budgets
from tests.support.builders import a_charger
from tests.support.field_charger import LATER, NOON, FieldCharger
from tests.support.live import an_id, background, eventually, exchange
from tests.support.metrics import scraped, value
from tests.support.products import product
from tools.stack.stack import PROJECT

pytestmark = pytest.mark.timeout(300)  # the first test starts the product
# The limits are small, so that each is exceeded quickly and only by the test that is about it.
LIMITS = {
    "OCPP_MESSAGES_PER_SECOND": "5",  # 200 at once
    "OCPP_ROWS_PER_MINUTE": "2400",
    "OCPP_TRANSACTION_MESSAGES_PER_MINUTE": "6",  # 100 at once
    "OCPP_MOST_SAMPLES": "200",
    "OCPP_MOST_CONNECTORS": "16",
    "OCPP_MOST_UNKNOWN_TAGS": "5",
    "OCPP_MOST_UNKNOWN_TAGS_IN_ALL": "1000",
    "OCPP_MOST_UNAPPLIED_MESSAGES": "3",
    "OCPP_SECURITY_EVENTS_PER_HOUR": "4",
    "OCPP_MONITORING_EVENTS_PER_HOUR": "4",
    "OCPP_MOST_MONITORS": "10",
    "OCPP_DATA_TRANSFERS_PER_HOUR": "4",
    "OCPP_CERTIFICATE_REQUESTS_PER_HOUR": "4",
    "OCPP_CERTIFICATE_CHECKS_PER_HOUR": "4",
    "OCPP_MOST_CONFIGURATION_KEYS": "10",
    "OCPP_MOST_FINDINGS": "20",
}
SAVED_MESSAGES = 200  # a charger may send so many without waiting, see above


@pytest.fixture(scope="module")
def tight():
    """The product with small budgets and one web process, on a database of its own."""
    settings = {
        "REDIS_URL": os.environ["REDIS_URL"].replace("db=0", "db=4"),
        "WEB_CONCURRENCY": "1",
        "WORKER_CONCURRENCY": "20",
        **LIMITS,
    }
    with product("budgets", settings) as tight:
        yield tight


@pytest.fixture
def charger(tight):
    with FieldCharger(tight) as charger:
        yield charger


def status(connector_id, word="Available"):
    return {"connectorId": connector_id, "errorCode": "NoError", "status": word}


def registers(*values, **more):
    return {"timestamp": NOON, "sampledValue": [{"value": str(value), **more} for value in values]}


def heartbeats(number):
    return [[2, f"flood{n}", "Heartbeat", {}] for n in range(number)]


def starts(numbers):
    usual = {"connectorId": 1, "idTag": "ABC", "timestamp": NOON}
    return [[2, f"start{n}", "StartTransaction", usual | {"meterStart": 1000 * n}] for n in numbers]


def flood(charger, frames):
    """Send `frames` without waiting for answers, and return the answers, {message id: payload}."""
    for frame in frames:
        charger.socket.send(json.dumps(frame))
    answers = [json.loads(charger.socket.recv(timeout=60)) for _ in frames]
    assert [answer[0] for answer in answers] == [3] * len(frames)
    return {answer[1]: answer[2] for answer in answers}


def use_up_messages(charger):
    """Use up the messages that `charger` may send without waiting."""
    flood(charger, heartbeats(SAVED_MESSAGES + 20))


@contextmanager
def flooding(tight, number):
    """Send `number` messages from a new charger without waiting, and yield the growing list of answers."""
    answers = []

    def read():
        with suppress(ConnectionClosed):
            answers.extend(socket)

    with tight.socket(an_id(), close_timeout=1) as socket:
        threading.Thread(target=read, daemon=True).start()
        for frame in heartbeats(number):
            socket.send(json.dumps(frame))
        yield answers


# --- slowing down ----------------------------------------------------------------------------


def test_a_flood_slows_its_charger_and_not_another(tight, charger):
    with flooding(tight, SAVED_MESSAGES + 500) as answers:
        eventually(lambda: len(answers) >= SAVED_MESSAGES, 60)
        for _ in range(30):
            charger.call("Heartbeat", {})
        # The rest of the flood takes 100 s at 5 messages a second, even on a fast machine.
        assert len(answers) < SAVED_MESSAGES + 500


def test_all_transactions_of_a_flooding_charger_are_answered_and_billed(charger):
    numbers = range(20)
    starts = [
        [
            2,
            f"start{n}",
            "StartTransaction",
            {"connectorId": 1, "idTag": "ABC", "meterStart": 1000 * n, "timestamp": NOON},
        ]
        for n in numbers
    ]
    started = flood(charger, [*heartbeats(SAVED_MESSAGES), *starts])
    ids = [started[f"start{n}"]["transactionId"] for n in numbers]
    stops = [
        [2, f"stop{n}", "StopTransaction", {"transactionId": ids[n], "meterStop": 1000 * n + 500, "timestamp": LATER}]
        for n in numbers
    ]
    flood(charger, [*heartbeats(20), *stops])
    sessions = {row["transaction_id"]: row for row in charger.transactions}
    assert [(sessions[pk]["status"], sessions[pk]["energy_wh"]) for pk in ids] == [("Completed", 500)] * 20


def test_a_reconnect_does_not_fill_the_bucket(charger):
    use_up_messages(charger)
    charger.reconnect()
    began = time.monotonic()
    for _ in range(15):
        charger.call("Heartbeat", {})
    assert time.monotonic() - began > 1  # 15 at 5 a second; with a full bucket they would not wait


def many_readings(number):
    """A payload with 200 readings of one minute, `number`."""
    return {
        "connectorId": 1,
        "meterValue": [registers(*range(200)) | {"timestamp": f"2025-02-26T12:{number:02}:00Z"}],
    }


def test_rows_beyond_the_budget_are_all_stored_later(tight, charger):
    for n in range(13):
        charger.call("MeterValues", many_readings(n))
    began = time.monotonic()
    charger.socket.send(json.dumps([2, "late", "MeterValues", many_readings(13)]))
    pong = charger.socket.ping()
    assert pong.wait(10)  # before the message is answered
    assert json.loads(charger.socket.recv(timeout=60))[1] == "late"
    assert time.monotonic() - began > 2
    assert stored(tight, charger.identity) == 2800


def test_commands_reach_a_charger_that_is_slowed_down(tight):
    charger_id = an_id()
    with tight.charger(charger_id, ClearCache={"status": "Accepted"}) as charger:
        for n in range(15):  # the last two wait 5 s each
            frame = json.dumps([2, an_id(), "MeterValues", many_readings(n)]).encode()
            background().call_soon_threadsafe(charger.connection.send, frame)
        eventually(lambda: stored(tight, charger_id) == 2600)
        task = tight.ask(charger_id, "ClearCache", {})
        eventually(lambda: charger.received, 20)
        assert stored(tight, charger_id) < 3000
        assert tight.finished(task)["outcome"] == "answered"
        assert stored(tight, charger_id) == 3000


def test_a_slowed_charger_is_not_closed_for_missing_pongs(tight):
    with FieldCharger(tight, ping_interval=1, ping_timeout=1) as charger:
        use_up_messages(charger)
        flood(charger, heartbeats(80))  # the socket takes half of them, and then none for some seconds


def stored(tight, charger_id):
    """Return the number of stored readings."""
    statement = "SELECT count(*) FROM transactions_metervalue m JOIN chargers_charger c ON c.id = m.charger_id"
    return tight.rows(f"{statement} WHERE c.identity = %s", charger_id)[0][0]


# --- not stored ------------------------------------------------------------------------------


def test_connectors_beyond_the_budget_are_not_stored(tight, charger):
    for connector_id in [*range(5000, 5030), *range(0, 40)]:
        assert charger.call("StatusNotification", status(connector_id)) == {}
    known = [row["connector_id"] for row in charger.shown["connectors"]]
    assert known == [*range(0, 17), *range(5000, 5016)]
    charger.call("StatusNotification", status(5000, "Charging"))  # a stored one is still updated
    assert next(row for row in charger.shown["connectors"] if row["connector_id"] == 5000)["status"] == "Charging"


def test_a_transaction_on_a_connector_without_a_row_is_stored(charger):
    for connector_id in range(0, 17):
        charger.call("StatusNotification", status(connector_id))
    charger.call("StatusNotification", status(900, "Charging"))
    transaction_id = charger.start(connectorId=900)
    charger.stop(transaction_id)
    assert charger.transaction(transaction_id)["energy_wh"] == 25008
    assert 900 not in [row["connector_id"] for row in charger.shown["connectors"]]


def test_energy_registers_are_stored_first_of_too_many_samples(tight, charger):
    transaction_id = charger.start()
    voltages = {"timestamp": NOON, "sampledValue": [{"value": "230", "measurand": "Voltage"}] * 300}
    payload = {"connectorId": 1, "transactionId": transaction_id, "meterValue": [voltages, registers(1000, 7000)]}
    charger.call("MeterValues", payload)
    rows = tight.rows(
        "SELECT measurand, count(*) FROM transactions_metervalue WHERE transaction_id = %s GROUP BY 1 ORDER BY 1",
        transaction_id,
    )
    assert rows == [("Energy.Active.Import.Register", 2), ("Voltage", 198)]
    assert charger.transaction(transaction_id)["energy_wh"] == 6000


def test_a_stop_with_too_many_samples_ends_its_session_with_its_meter(tight, charger):
    transaction_id = charger.start()
    charger.stop(transaction_id, transactionData=[registers(*range(1000, 26000, 50))])
    session = charger.transaction(transaction_id)
    assert (session["status"], session["energy_wh"], session["energy_source"]) == ("Completed", 25008, "stop")
    rows = tight.rows(
        "SELECT count(*), min(number)::int, max(number)::int FROM transactions_metervalue WHERE transaction_id = %s",
        transaction_id,
    )
    assert rows == [(200, 1000, 25950)]


def listed_tags(tight, charger):
    statement = "SELECT count(*) FROM transactions_unknownidtag u JOIN chargers_charger c ON c.id = u.charger_id"
    return tight.rows(f"{statement} WHERE c.identity = %s", charger.identity)[0][0]


def test_unknown_tags_beyond_the_budget_are_answered_and_not_listed(tight, charger):
    tags = [an_id() for _ in range(8)]
    answers = [charger.call("Authorize", {"idTag": tag}) for tag in [*tags, *tags]]
    assert answers == [{"idTagInfo": {"status": "Invalid"}}] * 16
    assert eventually(lambda: listed_tags(tight, charger)) == 5


def test_the_list_of_unknown_tags_of_all_chargers_is_limited(tight, charger):
    (pk,) = tight.rows("SELECT id FROM chargers_charger WHERE identity = %s", charger.identity)[0]
    tight.execute(
        "INSERT INTO transactions_unknownidtag (id_tag, charger_id, first_seen, last_seen, presented) "
        "SELECT 'full' || n, (SELECT min(id) FROM chargers_charger), now(), now(), 1 FROM generate_series(1, 1000) n"
    )
    assert charger.call("Authorize", {"idTag": an_id()}) == {"idTagInfo": {"status": "Invalid"}}
    eventually(lambda: incident(tight, charger.identity, "all_unknown_tags"))
    tight.execute("DELETE FROM transactions_unknownidtag WHERE id_tag LIKE 'full%%'")
    assert tight.rows("SELECT count(*) FROM transactions_unknownidtag WHERE charger_id = %s", pk) == [(0,)]


def test_orphan_stops_with_a_meter_value_are_stored_beyond_the_budget(tight):
    with FieldCharger(tight, validation="strict") as charger:
        for n in range(6):
            charger.send("StopTransaction", {"transactionId": "none", "timestamp": LATER, "reason": f"r{n}"})
        assert len(charger.orphans) == 3
        for n in range(6):
            charger.send("StopTransaction", {"transactionId": -1, "meterStop": n, "timestamp": LATER})
            charger.send(
                "StartTransaction", {"connectorId": 1, "idTag": "A" * 30, "meterStart": n, "timestamp": NOON}
            )
        assert len(charger.orphans) == 15


@pytest.mark.parametrize(
    ("action", "payload", "listed"),
    [
        ("SecurityEventNotification", {"type": "x", "timestamp": NOON}, "security-events"),
        ("DataTransfer", {"vendorId": "x"}, "data-transfers"),
        ("SignCertificate", {"csr": "x"}, "certificates"),
    ],
)
def test_messages_beyond_their_rate_are_acknowledged_and_not_stored(tight, charger, action, payload, listed):
    answers = [charger.call(action, payload) for _ in range(7)]
    assert all(answer == answers[0] for answer in answers)
    charger.reconnect()
    charger.call(action, payload)
    assert len(tight.get(f"/api/ocpp/{listed}/?charger_id={charger.identity}")["results"]) == 4


def test_configuration_keys_beyond_the_budget_are_not_stored(tight):
    charger_id = an_id()
    keys = [{"key": f"Key{n:02}", "readonly": False, "value": "1"} for n in range(30)]
    with tight.charger(charger_id, GetConfiguration={"configurationKey": keys}):
        for _ in range(2):
            assert tight.finished(tight.ask(charger_id, "GetConfiguration", {}))["outcome"] == "answered"
    shown = tight.get(f"/api/ocpp/chargers/{charger_id}/")["configuration"]
    assert [row["key"] for row in shown] == [f"Key{n:02}" for n in range(10)]
    eventually(lambda: incident(tight, charger_id, "configuration"), 5)


def test_findings_beyond_the_budget_are_counted_together(charger):
    for _ in range(2):
        flood(charger, [[2, f"m{n}", "Heartbeat", {f"odd{n}{m}": 1 for m in range(15)}] for n in range(4)])
    eventually(lambda: sum(count for (action, *_), count in charger.findings.items() if action) == 120, 20)
    found = charger.findings
    assert len(found) == 22
    assert found["Heartbeat", "(others)", "unknown_field"] >= 40
    assert found["", "budget.findings", "out_of_range"] == found["Heartbeat", "(others)", "unknown_field"]


# --- reports to operators --------------------------------------------------------------------


def incident(tight, charger_id, name):
    """Return whether a finding and exactly one event report an excess of the budget `name`."""
    path = f"?charger_id={charger_id}&page_size=1000"
    fields = [row["field"] for row in tight.get(f"/api/ocpp/findings/{path}")["results"]]
    events = tight.get(f"/api/ocpp/events/{path}&kind=charger.over_budget")["results"]
    return f"budget.{name}" in fields and [event["body"]["budget"] for event in events].count(name) == 1


def many(action, payload, number):
    def send(charger):
        for n in range(number):
            numbered = {
                name: text.replace("#", str(n)) if isinstance(text, str) else text for name, text in payload.items()
            }
            charger.send(action, numbered)

    return send


def of_201(action, *payloads):
    """Let the charger speak OCPP 2.0.1, and send these payloads."""

    def send(charger):
        charger.drop()
        charger.connect(subprotocols=["ocpp2.0.1"])
        for payload in payloads:
            charger.call(action, payload)

    return send


VARIABLE = {"component": {"name": "EVSE"}, "variable": {"name": "Power"}}
EVENT = {
    "timestamp": NOON,
    "trigger": "Delta",
    "actualValue": "1",
    "eventNotificationType": "CustomMonitor",
    **VARIABLE,
}
MONITOR = {"transaction": False, "value": 1, "type": "Delta", "severity": 8}
REPORT = {"requestId": 1, "seqNo": 0, "generatedAt": NOON}


def ask_for_statuses(charger):
    """GetCertificateStatus of OCPP 2.0.1, for which a responder is asked that does not exist."""
    asked = {"hashAlgorithm": "SHA256", "issuerNameHash": "ab", "issuerKeyHash": "cd", "serialNumber": "1"}
    body = {"ocspRequestData": asked | {"responderURL": "http://127.0.0.1:9/"}}
    with charger.live.socket(charger.identity, subprotocols=["ocpp2.0.1"]) as socket:
        for n in range(6):
            assert exchange(socket, f"m{n}", "GetCertificateStatus", body)[2] == {"status": "Failed"}


EXCESSES = {
    "messages": use_up_messages,
    "rows": lambda charger: [charger.call("MeterValues", many_readings(n)) for n in range(14)],
    "transactions": lambda charger: flood(charger, starts(range(102))),
    "samples": lambda charger: charger.call(
        "MeterValues", {"connectorId": 1, "meterValue": [registers(*range(201))]}
    ),
    "connectors": lambda charger: [charger.call("StatusNotification", status(100 + n)) for n in range(17)],
    "unknown_tags": many("Authorize", {"idTag": "unknown#"}, 20),
    "unapplied": many("StopTransaction", {"transactionId": 0, "timestamp": LATER, "reason": "r#"}, 5),
    "security_events": many("SecurityEventNotification", {"type": "#", "timestamp": NOON}, 6),
    "monitoring_events": of_201(
        "NotifyEvent",
        *({"generatedAt": NOON, "seqNo": 0, "eventData": [EVENT | {"eventId": n}]} for n in range(6)),
    ),
    "monitors": of_201(
        "NotifyMonitoringReport",
        REPORT | {"monitor": [VARIABLE | {"variableMonitoring": [MONITOR | {"id": n} for n in range(11)]}]},
    ),
    "data_transfers": many("DataTransfer", {"vendorId": "#"}, 6),
    "certificate_requests": many("SignCertificate", {"csr": "#"}, 6),
    "certificate_checks": ask_for_statuses,
    "findings": lambda charger: charger.call("Heartbeat", {f"odd{n}": 1 for n in range(40)}),
}


def test_every_budget_without_a_test_of_its_own_is_in_excesses():
    assert set(budgets.BUDGETS) - set(EXCESSES) == {"configuration", "all_unknown_tags"}


@pytest.mark.parametrize("name", EXCESSES)
def test_an_excess_is_a_finding_an_event_a_metric_and_one_line_of_the_log(tight, charger, name):
    before = scraped(tight)
    EXCESSES[name](charger)
    eventually(lambda: incident(tight, charger.identity, name), 20)
    eventually(lambda: value(scraped(tight), "ocpp_budget_exceeded_total", before, budget=name) >= 1, 20)
    (log,) = (tight.stack.run_dir / "logs").glob("web-1.log")
    lines = [line for line in log.read_text().splitlines() if charger.identity in line]
    setting = budgets.BUDGETS[name].setting
    assert len([line for line in lines if setting in line and "docs/security.md" in line]) == 1


# --- pages, documents and accounts -----------------------------------------------------------


@pytest.mark.django_db
def test_the_fleet_page_reads_few_connectors_of_each_charger(api):
    charger = a_charger(connected_at=NOON)
    columns = {"charger": charger, "timestamp": NOON, "received_at": NOON}
    statuses = {9000: "Faulted"}
    Connector.objects.bulk_create(
        Connector(connector_id=n, status=statuses.get(n, "Available"), **columns) for n in range(1, 10_001)
    )
    with CaptureQueriesContext(connection) as captured:
        page = api.get("/").content.decode()
    assert page.count('class="connector s-') == 32
    assert "9000 Faulted" in page
    assert "and more" in page
    assert len(captured) < 30


def test_the_document_has_every_budget(settings):
    settings.OCPP_MESSAGES_PER_SECOND = 100  # the default, which other tests switch off
    text = (PROJECT / "docs/security.md").read_text()
    for budget in budgets.BUDGETS.values():
        assert (
            f"| `{budget.name}` | `{budget.setting}` | {budget.limit} | {budget.counts} | {budget.consequence} |"
            in text
        )


def test_an_account_is_deleted_when_its_buckets_are_full_again():
    ledger = budgets.Ledger()
    touched, other = ledger.of(1), ledger.of(2)
    touched.receive(1)
    other.messages.full_at = 0.0
    ledger.leave(1, touched)
    assert ledger.of(1) is touched
    touched.messages.full_at = 0.0
    ledger.leave(2, other)
    assert not ledger.stored
