"""NotifyMonitoringReport and NotifyEvent of OCPP 2.0.1: monitors, events, and what is read of odd ones."""

import pytest

from chargers.models import Connector, Event, Monitor, MonitoringEvent
from chargers.services import budgets
from commands.models import Command
from core.ocpp import tolerance
from core.ocpp.versions import OCPP201
from tests.support.builders import NOON, a_call, a_charger, a_command, settle, tell

pytestmark = pytest.mark.django_db(transaction=True)

VARIABLE = {"component": {"name": "EVSE", "evse": {"id": 1}}, "variable": {"name": "AvailabilityState"}}
SETTING = {"id": 7, "transaction": False, "value": 1, "type": "Delta", "severity": 8}
EVENT = {
    **VARIABLE,
    "eventId": 1,
    "timestamp": NOON,
    "trigger": "Delta",
    "actualValue": "Occupied",
    "eventNotificationType": "CustomMonitor",
}


@pytest.fixture
def charger():
    return a_charger(ocpp_version="ocpp2.0.1")


def reported(charger, *settings, request_id=5, seq_no=0, tbc=False, **variable):
    """Send one part of a report."""
    monitor = {"monitor": [{**VARIABLE, **variable, "variableMonitoring": list(settings)}]} if settings else {}
    head = {"requestId": request_id, "seqNo": seq_no, "tbc": tbc, "generatedAt": NOON}
    assert tell(charger, "NotifyMonitoringReport", **head, **monitor) == {}


def asked(charger, request_id=5, **payload):
    """A GetMonitoringReport that was accepted."""
    columns = {"state": "sent", "sent_at": NOON.replace("2025", "2030"), "request_id": request_id}
    return a_command(charger, "GetMonitoringReport", {"requestId": request_id, **payload}, **columns)


def ids(charger):
    return set(Monitor.objects.filter(charger=charger).values_list("monitor_id", flat=True))


def notified(charger, *events, **head):
    usual = {"generatedAt": NOON, "seqNo": 0}
    assert tell(charger, "NotifyEvent", **usual | head, eventData=list(events)) == {}


# --- reports ---------------------------------------------------------------------------------


def test_a_reported_monitor_is_listed_with_all_members(charger, api):
    reported(charger, SETTING | {"transaction": True, "value": 2.5})
    (shown,) = api.get(f"/api/ocpp/monitors/?charger_id={charger}&component=EVSE&type=Delta").json()["results"]
    assert shown.pop("reported_at")
    assert shown == {
        **{"charger_id": str(charger), "monitor_id": 7, "component": "EVSE", "component_instance": "", "evse_id": 1},
        **{"connector_id": None, "variable": "AvailabilityState", "instance": "", "type": "Delta", "value": 2.5},
        **{"severity": 8, "transaction": True, "source": ""},
    }


def test_monitors_are_stored_with_each_part_and_a_whole_report_replaces_them(charger):
    reported(charger, SETTING, SETTING | {"id": 8, "severity": 4}, request_id=4)
    command = asked(charger)
    reported(charger, SETTING | {"id": 9}, seq_no=1)
    assert ids(charger) == {7, 8, 9}
    reported(charger, SETTING | {"id": 10}, seq_no=0, tbc=True)
    assert ids(charger) == {9, 10}
    completed = Command.objects.get(pk=command.pk)
    assert completed.completed_at
    assert [step["status"] for step in completed.progress] == ["Part", "Complete"]
    assert len(completed.report) == 2


def test_a_repeated_part_changes_nothing(charger):
    asked(charger)
    reported(charger, SETTING)
    Monitor.objects.create(charger=charger, monitor_id=99, type="Delta", reported_at=NOON)
    reported(charger, SETTING)
    assert ids(charger) == {7, 99}


def test_a_report_by_criteria_replaces_the_monitors_of_these_types_alone(charger):
    reported(charger, SETTING, SETTING | {"id": 8, "type": "Periodic"}, SETTING | {"id": 9, "type": "UpperThreshold"})
    asked(charger, 6, monitoringCriteria=["DeltaMonitoring", "PeriodicMonitoring"])
    reported(charger, SETTING, request_id=6)
    assert ids(charger) == {7, 9}


def test_a_report_about_some_variables_or_one_that_nobody_requested_deletes_nothing(charger):
    reported(charger, SETTING, SETTING | {"id": 8})
    asked(charger, 6, componentVariable=[VARIABLE])
    reported(charger, SETTING, request_id=6)
    reported(charger, SETTING, request_id=4711)
    assert ids(charger) == {7, 8}


def test_a_monitor_that_was_accepted_after_the_request_stays(charger):
    command = asked(charger)
    Monitor.objects.create(charger=charger, monitor_id=99, type="Delta", reported_at="2031-01-01T00:00:00Z")
    reported(charger, SETTING, request_id=command.request_id)
    assert ids(charger) == {7, 99}


def test_the_source_of_a_monitor_is_learned_from_its_events_and_kept(charger):
    reported(charger, SETTING)
    notified(charger, EVENT | {"variableMonitoringId": 7, "eventNotificationType": "HardWiredMonitor"})
    reported(charger, SETTING | {"value": 3})
    monitor = Monitor.objects.get()
    assert (monitor.source, monitor.value) == ("hardwired", 3)
    reported(charger, SETTING, variable={"name": "Power"})  # another monitor with this id
    assert Monitor.objects.get().source == ""


def test_monitors_beyond_the_budget_are_not_stored(charger, settings):
    settings.OCPP_MOST_MONITORS = 2
    call = a_call(
        charger,
        "NotifyMonitoringReport",
        requestId=1,
        seqNo=0,
        generatedAt=NOON,
        monitor=[{**VARIABLE, "variableMonitoring": [SETTING | {"id": n} for n in range(3)]}],
    )
    settle(call)
    assert ids(charger) == {0, 1}
    assert call.findings == {budgets.BUDGETS["monitors"].finding: 1}


# --- events ----------------------------------------------------------------------------------


def test_an_event_is_listed_with_all_members_and_sent_to_listeners(charger, api):
    reported(charger, SETTING)
    more = {"cause": 5, "cleared": True, "techCode": "E1", "techInfo": "hot", "transactionId": "T-1"}
    notified(charger, EVENT | more | {"variableMonitoringId": 7}, seqNo=3)
    (shown,) = api.get(f"/api/ocpp/monitoring-events/?charger_id={charger}&trigger=Delta").json()["results"]
    expected = {
        **{"event_id": 1, "cause": 5, "trigger": "Delta", "notification_type": "CustomMonitor", "cleared": True},
        **{"actual_value": "Occupied", "tech_code": "E1", "tech_info": "hot", "reference": "T-1", "monitor_id": 7},
        **{"component": "EVSE", "evse_id": 1, "connector_id": None, "variable": "AvailabilityState", "seq_no": 3},
        **{"severity": 8, "timestamp": NOON, "generated_at": NOON},
    }
    assert {name: shown[name] for name in expected} == expected
    event = Event.objects.get(kind="monitoring.event")
    assert event.charger == charger
    assert (event.body["actual_value"], event.body["severity"], event.body["timestamp"]) == ("Occupied", 8, NOON)


def test_each_event_is_stored_once(charger):
    for _ in range(2):
        notified(charger, EVENT, EVENT | {"eventId": 2}, EVENT)
    assert MonitoringEvent.objects.count() == Event.objects.filter(kind="monitoring.event").count() == 2
    notified(charger, EVENT, seqNo=1)
    notified(charger, EVENT, generatedAt="2025-02-26T12:00:01Z")  # event ids may begin again at each boot
    assert MonitoringEvent.objects.count() == 4


def test_the_events_of_a_message_beyond_the_budget_are_acknowledged_and_not_stored(charger, settings):
    settings.OCPP_MONITORING_EVENTS_PER_HOUR = 3
    account = budgets.ledger.of(charger.pk)  # as an open socket has
    notified(charger, *(EVENT | {"eventId": n} for n in range(2)))
    call = a_call(
        charger,
        "NotifyEvent",
        generatedAt=NOON,
        seqNo=0,
        eventData=[EVENT | {"eventId": n} for n in range(2, 4)],
    )
    assert settle(call) == [{}]
    assert call.findings == {budgets.BUDGETS["monitoring_events"].finding: 3}
    assert MonitoringEvent.objects.count() == 2
    assert account.buckets["monitoring_events"].take()  # the third one is left


def test_the_value_of_a_secret_variable_is_hidden(charger):
    secret = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
    notified(charger, EVENT | secret | {"actualValue": "do-not-show"})
    event = MonitoringEvent.objects.get()
    assert event.actual_value == "(hidden)"
    assert "do-not-show" not in str(Event.objects.get(kind="monitoring.event").body)


def test_an_event_about_a_connector_is_its_status(charger):
    connector = {"component": {"name": "Connector", "evse": {"id": 2, "connectorId": 1}}}
    notified(charger, EVENT | connector)
    row = Connector.objects.get(charger=charger)
    assert (row.evse_id, row.connector_id, row.status) == (2, 1, "Occupied")
    notified(charger, EVENT | {"timestamp": "2025-02-26T13:00:00Z"})  # of the EVSE
    notified(charger, EVENT | {"component": {"name": "Connector"}})
    assert Connector.objects.get(charger=charger).status == "Occupied"


# --- odd messages ----------------------------------------------------------------------------


def read(charger, action, **payload):
    """Send a payload as it is read in lenient validation."""
    reading = tolerance.read_request(OCPP201, action, payload)
    return tell(charger, action, **(reading.payload if reading else payload))


@pytest.mark.parametrize("missing", ["eventId", "timestamp", "trigger", "actualValue", "eventNotificationType"])
def test_an_event_without_a_member_is_stored(charger, missing):
    event = {name: value for name, value in EVENT.items() if name != missing}
    read(charger, "NotifyEvent", eventData=[event])
    assert MonitoringEvent.objects.get().component == "EVSE"


def test_an_odd_event_is_stored_as_far_as_it_can_be_read(charger):
    odd = {"eventId": 2**40, "cause": -1, "trigger": "Sometimes", "component": {}, "actualValue": "x" * 3000}
    read(
        charger, "NotifyEvent", generatedAt="soon", seqNo=2**40, eventData=[EVENT | odd | {"transactionId": "t" * 99}]
    )
    read(charger, "NotifyEvent", eventData=[EVENT | {"component": {"name": "C" * 99, "evse": {"id": -1}}}])
    second, first = MonitoringEvent.objects.all()
    assert (first.event_id, first.trigger, len(first.actual_value)) == (2**40, "Sometimes", 3000)
    assert (second.component.startswith("CCC"), second.evse_id) == (True, None)


def test_an_odd_monitor_is_stored_as_far_as_it_can_be_read(charger):
    settings = [{"id": 1}, {"type": "Delta"}, SETTING | {"id": 2**40, "severity": 2**40, "type": "Now and then"}]
    monitors = [{**VARIABLE, "variableMonitoring": settings}, {"variableMonitoring": [SETTING]}]
    assert read(charger, "NotifyMonitoringReport", monitor=monitors) == {}
    rows = {row.monitor_id: row for row in Monitor.objects.all()}
    assert rows.keys() == {1, 7, 2**40}
    assert (rows[1].value, rows[1].severity, rows[1].type, rows[7].component) == (None, None, "", "")
