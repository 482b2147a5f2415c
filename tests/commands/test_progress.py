"""What chargers deliver after their answers: progress, completion, and the clients that wait for it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from chargers.models import Event
from commands.actions.ocpp16.table import ACTIONS
from commands.models import Command
from commands.services.lifecycle import _finish
from core.ocpp.versions import OCPP16
from tests.support.builders import a_charger, a_command, tell
from tests.support.live import an_id

NOTIFICATIONS = {
    "GetDiagnostics": "DiagnosticsStatusNotification",
    "GetLog": "LogStatusNotification",
    "UpdateFirmware": "FirmwareStatusNotification",
    "SignedUpdateFirmware": "SignedFirmwareStatusNotification",
}
LOCATION = {"location": "ftp://logs.example/"}
FIRMWARE = LOCATION | {"retrieveDate": "2026-01-01T00:00:00Z"}
REFUSED = {"status": "Rejected"}


def sent(action="UpdateFirmware", charger=None, **columns):
    return a_command(charger, action, state="sent", sent_at=datetime.now(UTC), **columns)


def answered(action="UpdateFirmware", answer=None, charger=None, **columns):
    return _finish(sent(action, charger, **columns), "answered", response=answer or {})


def notified(command, *statuses, **members):
    """Return the command after its charger has notified these statuses."""
    for status in statuses:
        tell(command.charger, NOTIFICATIONS[command.action], status=status, **members)
    return Command.objects.get(pk=command.pk)


def test_every_action_that_delivers_has_a_notification_with_these_statuses():
    delivering = {name: action.delivery for name, action in ACTIONS.items() if action.delivery}
    assert delivering.keys() == NOTIFICATIONS.keys()
    for name, delivery in delivering.items():
        known = OCPP16.schemas.requests[NOTIFICATIONS[name]].resolved["properties"]["status"]["enum"]
        assert delivery.done | delivery.failed <= set(known)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("end", ["Installed", "InstallationFailed"])
def test_a_final_status_completes_a_command_and_is_an_event(end):
    command = answered()
    assert command.completed_at is None
    assert notified(command, "Downloading", "Downloaded").completed_at is None
    completed = notified(command, end)
    assert completed.completed_at > completed.finished_at
    assert (completed.state, completed.outcome, completed.response) == ("finished", "answered", {})
    event = Event.objects.get(charger=command.charger, kind="command.completed")
    assert (event.body["task_id"], event.body["status"]) == (command.task_id, end)


@pytest.mark.django_db(transaction=True)
def test_a_charger_that_tries_again_is_not_completed_until_the_end():
    command = answered()
    assert notified(command, "DownloadFailed").completed_at
    assert notified(command, "Downloading").completed_at is None
    installed = notified(command, "Installed")
    again = notified(command, "Downloading", "InstallationFailed")
    assert (again.completed_at, again.progress) == (installed.completed_at, installed.progress)


@pytest.mark.django_db(transaction=True)
def test_a_delivery_names_its_request():
    charger = a_charger()
    first, second = (answered("GetLog", {"status": "Accepted"}, charger, request_id=n) for n in (7, 8))
    assert notified(first, "Uploaded", requestId=7).completed_at
    assert Command.objects.get(pk=second.pk).completed_at is None
    assert notified(second, "Uploading", "Idle", "UploadFailure", requestId=8).completed_at


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("action", "outcome", "answer"),
    [
        ("Reset", "answered", {"status": "Accepted"}),
        ("Reset", "timed_out", None),
        ("GetLog", "answered", REFUSED),
        ("GetLog", "call_error", None),
        ("GetDiagnostics", "answered", {}),
    ],
)
def test_a_command_after_which_nothing_is_delivered_is_completed_when_it_is_finished(action, outcome, answer):
    command = _finish(sent(action), outcome, response=answer)
    stored = Command.objects.get(pk=command.pk)
    assert stored.completed_at == stored.finished_at == command.completed_at


@pytest.mark.django_db(transaction=True)
def test_a_command_that_was_not_sent_is_completed_and_one_without_an_answer_may_deliver():
    assert _finish(a_command(action="UpdateFirmware"), "not_connected").completed_at
    silent = _finish(sent(), "timed_out")
    assert silent.completed_at is None
    assert notified(silent, "Installed").completed_at


@pytest.mark.django_db(transaction=True)
def test_a_delivery_before_the_answer_completes_the_command():
    command = sent("GetDiagnostics")
    uploaded = notified(command, "Uploaded")
    assert (uploaded.state, uploaded.completed_at is None) == ("sent", False)
    _finish(command, "answered", response={"fileName": "log"})
    assert Command.objects.get(pk=command.pk).completed_at == uploaded.completed_at


def waited(live, task, until="completed"):
    return live.get(f"/api/ocpp/tasks/{task['task_id']}/?wait=30&until={until}")


def test_a_client_waits_for_the_answer_or_for_the_delivery(live):
    with live.charger(charger_id := an_id(), UpdateFirmware={}) as charger, ThreadPoolExecutor(1) as thread:
        task = waited(live, live.ask(charger_id, "UpdateFirmware", FIRMWARE), "finished")
        assert (task["state"], task["completed_at"], task["request_id"]) == ("finished", None, None)
        waiting = thread.submit(waited, live, task)
        charger.exchange("FirmwareStatusNotification", {"status": "Downloading"})
        assert not waiting.done()
        charger.exchange("FirmwareStatusNotification", {"status": "Installed"})
        completed = waiting.result()
    assert completed["completed_at"]
    assert [step["status"] for step in completed["progress"]] == ["Downloading", "Installed"]


def test_a_client_does_not_wait_for_a_delivery_that_will_not_come(live):
    with live.charger(charger_id := an_id(), GetLog=REFUSED, ClearCache={"status": "Accepted"}):
        payload = {"logType": "SecurityLog", "log": {"remoteLocation": "ftp://logs.example/"}}
        refused = waited(live, live.ask(charger_id, "GetLog", payload))
        cleared = waited(live, live.ask(charger_id, "ClearCache", {}))
    assert refused["completed_at"] == refused["finished_at"]
    assert refused["request_id"] == refused["payload"]["requestId"]
    assert cleared["completed_at"] == cleared["finished_at"]
    assert live.request("GET", f"{cleared['task_url']}?until=sent")[0] == 400
