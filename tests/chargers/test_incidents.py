"""Incidents open, recur and close by what is stored about chargers; one cause has one incident."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chargers import error_codes
from chargers.error_codes import explain
from chargers.models import Charger, Connector, Event, Incident, IncidentEntry, Refusal, Site
from chargers.models.incidents import KINDS
from chargers.services import findings, incidents
from chargers.services.incidents import Span
from commands.services.incident_causes import RULES
from core.redis.connections import sync_redis
from tests.support.builders import NOON, a_charger, a_command, an_incident, open_socket, tell

pytestmark = pytest.mark.django_db(transaction=True)
BY_KIND = {rule.kind: rule for rule in RULES}


@pytest.fixture(autouse=True)
def no_former_run():
    sync_redis().delete(f"ocpp:{incidents.LAST_RUN}")


def status(charger, status="Faulted", error="GroundFailure", **more):
    tell(charger, "StatusNotification", connectorId=1, status=status, errorCode=error, **more)


def run(*kinds, since=None):
    span = Span(since or datetime.now(UTC))
    for kind in kinds or BY_KIND:
        incidents.apply(BY_KIND[kind], span)


def later(seconds):
    """Let `seconds` pass for the incidents."""
    with connection.cursor() as cursor:
        for column in ("opened_at", "last_seen_at", "cleared_at", "closed_at"):
            cursor.execute(f"UPDATE chargers_incident SET {column} = {column} - interval '{seconds} seconds'")


def the_incident(**columns):
    return Incident.objects.get(**columns)


def actions(incident):
    return list(incident.entries.values_list("action", flat=True))


def test_a_fault_opens_one_incident_which_closes_when_it_ends():
    charger = a_charger("505")
    status(charger, vendorErrorCode="E42", info="RCD tripped")
    run("fault")
    run("fault")
    incident = the_incident()
    assert (incident.kind, incident.state, incident.severity) == ("fault", "open", "critical")
    assert (incident.code, incident.vendor_code, incident.detail) == ("GroundFailure", "E42", "RCD tripped")
    assert str(incident) == "Connector reports a fault (505, connector 1)"
    status(charger, "Available", "NoError")
    run("fault")
    assert the_incident().state == "open"
    later(incidents.SETTLING_S)
    run("fault")
    assert (the_incident().state, the_incident().closed_by) == ("closed", "")
    assert actions(incident) == ["opened", "closed"]
    kinds = Event.objects.filter(kind__startswith="incident").order_by("pk").values_list("kind", flat=True)
    assert list(kinds) == ["incident.opened", "incident.closed"]


def test_a_flapping_connector_is_one_incident_with_a_count():
    charger = a_charger()
    for _ in range(5):
        status(charger)
        run("fault")
        status(charger, "Available", "NoError")
        run("fault")
        later(incidents.SETTLING_S)
        run("fault")
    incident = the_incident()
    assert (incident.state, incident.recurrences) == ("closed", 4)
    assert actions(incident).count("recurred") == 1
    assert incident.entries.get(action="recurred").text == "4"


def test_a_cause_that_recurs_after_an_hour_is_a_new_incident():
    charger = a_charger()
    status(charger)
    run("fault")
    status(charger, "Available", "NoError")
    for _ in range(3):
        run("fault")
        later(3700)
    status(charger)
    run("fault")
    assert list(Incident.objects.order_by("pk").values_list("state", "is_current")) == [
        ("closed", False),
        ("open", True),
    ]


def test_a_fault_between_two_runs_is_found():
    charger, before = a_charger(), datetime.now(UTC)
    status(charger)
    status(charger, "Available", "NoError")
    run("fault", since=before)
    assert the_incident().code == "GroundFailure"


def test_an_error_without_a_fault_is_a_warning_and_a_hot_connector_a_kind_of_its_own():
    charger = a_charger()
    tell(charger, "StatusNotification", connectorId=1, status="Available", errorCode="WeakSignal")
    tell(charger, "StatusNotification", connectorId=2, status="Faulted", errorCode="HighTemperature")
    run()
    assert the_incident(kind="fault").severity == "warning"
    assert the_incident(kind="high_temperature").connector_id == 2


def test_a_changed_error_is_noted():
    charger = a_charger()
    status(charger)
    run("fault")
    status(charger, error="OverVoltage")
    run("fault")
    assert the_incident().code == "OverVoltage"
    assert actions(the_incident()) == ["opened", "changed"]


def test_a_charger_is_offline_after_the_minutes_of_the_setting(settings):
    settings.OCPP_OFFLINE_MINUTES = 10
    now = datetime.now(UTC)
    a_charger("never")
    a_charger("short", connected_at=now - timedelta(days=1), disconnected_at=now - timedelta(minutes=9))
    ended = now - timedelta(minutes=11)
    gone = a_charger("long", connected_at=now - timedelta(days=1), disconnected_at=ended)
    run("offline")
    incident = the_incident()
    assert (incident.charger, incident.opened_at) == (gone, ended)
    open_socket(gone)
    run("offline")
    later(incidents.SETTLING_S)
    run("offline")
    assert the_incident().state == "closed"


def test_a_charger_is_offline_after_the_minutes_of_its_site(settings):
    settings.OCPP_OFFLINE_MINUTES = 10
    now = datetime.now(UTC)
    for name, minutes, ago in (("patient", 60, 59), ("gone", 60, 61), ("strict", 2, 3), ("usual", None, 9)):
        site = Site.objects.create(name=name, offline_minutes=minutes)
        ended = now - timedelta(minutes=ago)
        a_charger(name, site=site, connected_at=now - timedelta(days=1), disconnected_at=ended)
    run("offline")
    assert set(Incident.objects.values_list("charger__identity", flat=True)) == {"gone", "strict"}


def test_a_charger_that_is_connected_and_sends_nothing_is_silent(settings):
    long_ago = datetime.now(UTC) - timedelta(minutes=settings.OCPP_SILENT_MINUTES + 1)
    a_charger("silent", connected_at=long_ago, last_seen=long_ago)
    a_charger("lively", connected_at=long_ago, last_seen=datetime.now(UTC))
    a_charger("gone", connected_at=long_ago, last_seen=long_ago, disconnected_at=datetime.now(UTC))
    run("silent")
    assert the_incident().charger.identity == "silent"


def a_refusal(charger_id, kind="credentials", count=3):
    now = datetime.now(UTC)
    seen = {"first_at": now, "last_at": now, "count": count, "address": "192.0.2.1"}
    Refusal.objects.create(charger_id=charger_id, kind=kind, status=401, reason="No key.", **seen)


def test_a_refused_charger_and_an_unknown_one():
    charger = a_charger("known", connected_at=datetime.now(UTC) - timedelta(days=1))
    a_refusal("known")
    a_refusal("unknown", "unknown")
    a_refusal("scanner", "unknown", count=1)
    run("refused", "unknown_charger")
    assert (the_incident(kind="refused").charger, the_incident(kind="refused").detail) == (
        charger,
        "No key. (192.0.2.1)",
    )
    assert (the_incident(kind="unknown_charger").charger, the_incident(kind="unknown_charger").code) == (
        None,
        "unknown",
    )
    open_socket(charger)
    run("refused")
    later(incidents.SETTLING_S)
    run("refused")
    assert the_incident(kind="refused").state == "closed"


def test_a_failed_command_is_an_incident_until_one_is_answered():
    charger, now = a_charger(), datetime.now(UTC)
    done = {"state": "finished", "finished_at": now}
    a_command(charger, "Reset", outcome="timed_out", simulated=True, **done)
    run("command_failed")
    assert (the_incident().code, the_incident().detail) == ("Reset", "timed_out")
    a_command(charger, outcome="cancelled", **done)
    a_command(charger)
    run("command_failed")
    assert the_incident().cleared_at is None
    a_command(charger, outcome="answered", **done)
    run("command_failed")
    later(incidents.SETTLING_S)
    run("command_failed")
    assert the_incident().state == "closed"


def test_rejected_messages_and_wrong_clocks_are_incidents_until_they_were_absent_for_an_hour():
    charger, before = a_charger(), datetime.now(UTC) - timedelta(seconds=1)
    found = {("timestamp", "clock"): "1970-01-01", ("", "rejected"): "[]"}
    findings.write([findings.MessageFindings(charger.pk, "StatusNotification", found, datetime.now(UTC))])
    run("clock", "message_rejected", since=before)
    assert set(Incident.objects.values_list("kind", "code")) == {
        ("clock", "StatusNotification"),
        ("message_rejected", "StatusNotification"),
    }
    run("clock", "message_rejected")
    later(incidents.QUIET_S - 60)
    run("clock", "message_rejected")
    assert Incident.objects.filter(state="open").count() == 2
    later(120)
    run("clock", "message_rejected")
    assert Incident.objects.filter(state="closed").count() == 2


def test_severe_security_events_are_incidents():
    charger, before = a_charger(), datetime.now(UTC)
    for type in ("StartupOfTheDevice", "TamperDetectionActivated"):
        tell(charger, "SecurityEventNotification", type=type, timestamp=NOON, techInfo="door")
    run("security", since=before)
    incident = the_incident()
    assert (incident.severity, incident.code, incident.detail) == ("critical", "TamperDetectionActivated", "door")


def notify_event(charger, event_id, severity_monitor, **more):
    data = {
        "eventId": event_id,
        "timestamp": NOON,
        "trigger": "Alerting",
        "actualValue": "95",
        "eventNotificationType": "CustomMonitor",
        "component": {"name": "Connector", "evse": {"id": 1, "connectorId": 1}},
        "variable": {"name": "Temperature"},
        **({"variableMonitoringId": severity_monitor} if severity_monitor else {}),
        **more,
    }
    tell(charger, "NotifyEvent", generatedAt=NOON, seqNo=event_id, eventData=[data])


def test_a_severe_event_of_a_monitor_lasts_until_it_is_cleared():
    charger, before = a_charger(ocpp_version="ocpp2.0.1"), datetime.now(UTC)
    for monitor, severity in ((1, 2), (2, 7)):
        charger.monitors.create(monitor_id=monitor, type="UpperThreshold", severity=severity, reported_at=NOON)
        notify_event(charger, monitor, monitor)
    run("monitoring", since=before)
    incident = the_incident()
    assert (incident.severity, incident.code, incident.detail) == ("critical", "Connector.Temperature", "95")
    assert (incident.evse_id, incident.connector_id) == (1, 1)
    run("monitoring")
    later(4000)
    run("monitoring")
    assert the_incident().cleared_at is None
    notify_event(charger, 3, 1, cleared=True)
    run("monitoring", since=before)
    later(4000)
    run("monitoring")
    assert the_incident().state == "closed"


def test_a_problem_of_a_component_lasts_until_it_is_cleared():
    charger, before = a_charger(ocpp_version="ocpp2.0.1"), datetime.now(UTC)
    problem = {"variable": {"name": "Problem"}, "actualValue": "true", "techCode": "CX008"}
    problem |= {"eventNotificationType": "HardWiredNotification"}
    huge = {"component": {"name": "Other", "evse": {"id": 2**40}}}
    notify_event(charger, 1, None, **problem)
    notify_event(charger, 2, None, **problem | huge)
    run("monitoring", since=before)
    assert Incident.objects.count() == 2
    incident = the_incident(evse_id=1)
    assert (incident.severity, explain(incident).meaning) == ("warning", "An emergency stop was pressed.")
    later(4000)
    run("monitoring")
    assert the_incident(evse_id=1).cleared_at is None
    notify_event(charger, 3, None, **problem | {"cleared": True})
    run("monitoring", since=before)
    assert the_incident(evse_id=1).cleared_at


def test_codes_of_manufacturers_are_explained_by_a_file(tmp_path, settings):
    file = tmp_path / "codes.csv"
    file.write_text("vendor,code,meaning,what_to_do\nAcme,E42,The fan is stuck.,Clean it.\n")
    settings.OCPP_ERROR_CODES = str(file)
    error_codes._table.cache_clear()
    try:
        charger = a_charger(vendor="ACME Charging Ltd")
        incident = an_incident(charger, code="OtherError", vendor_code="e42")
        assert explain(incident).meaning == "The fan is stuck."
        other = an_incident(a_charger(vendor="Other"), code="OtherError", vendor_code="E42")
        assert explain(other).meaning == "The charger reports an error that the standard does not name."
    finally:
        error_codes._table.cache_clear()
    assert explain(an_incident(charger, code="OtherError", vendor_code="CX002")).meaning == (
        "The ground fault protection has tripped."
    )


def test_an_incident_that_a_user_closes_stays_closed_until_its_cause_recurs():
    charger = a_charger()
    status(charger)
    run("fault")
    incidents.close(the_incident(), "alice")
    run("fault")
    later(600)
    run("fault")
    assert (the_incident().state, the_incident().closed_by) == ("closed", "alice")
    status(charger, "Available", "NoError")
    run("fault")
    status(charger)
    run("fault")
    assert (the_incident().state, the_incident().recurrences, the_incident().closed_by) == ("open", 1, "")


def test_two_workers_open_an_incident_once():
    for number in range(50):
        status(a_charger(f"CP-{number}"))
    barrier = threading.Barrier(4)
    errors = []

    def work():
        try:
            barrier.wait()
            run("fault")
        except Exception as error:  # noqa: BLE001
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert Incident.objects.count() == IncidentEntry.objects.count() == 50


def test_every_kind_but_that_of_this_system_has_a_rule():
    assert set(BY_KIND) == set(KINDS) - {"system"}


def test_the_number_of_statements_does_not_depend_on_the_number_of_chargers():
    a_faulted = [Connector(charger=a_charger(), connector_id=1, status="Faulted", timestamp=NOON, received_at=NOON)]
    Connector.objects.bulk_create(a_faulted)
    incidents.reconcile(RULES)
    with CaptureQueriesContext(connection) as one:
        incidents.reconcile(RULES)
    chargers = Charger.objects.bulk_create(Charger(identity=f"X{number}") for number in range(200))
    Connector.objects.bulk_create(
        Connector(charger=charger, connector_id=1, status="Faulted", timestamp=NOON, received_at=NOON)
        for charger in chargers
    )
    with CaptureQueriesContext(connection) as many:
        incidents.reconcile(RULES)
    assert Incident.objects.count() == 201
    assert len(many) <= len(one) + 2


def test_an_error_of_one_rule_does_not_stop_the_others():
    status(a_charger())
    broken = incidents.Rule("offline", "SELECT 1/0")
    with pytest.raises(Exception, match="has 1 columns|division"):
        incidents.reconcile([broken, BY_KIND["fault"]])
    assert the_incident().kind == "fault"
