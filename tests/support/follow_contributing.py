"""Use the message, the command and the version of docs/contributing.md. It runs in a copy with its excerpts."""

from tests.support.in_process import answer, connected, web  # noqa: I001  (sets up Django)

from chargers.models import SecurityEvent
from commands.services import submission
from core.ocpp.schemas import Violation

STATION = {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M"}}
EVENT = {"type": "TamperDetectionActivated", "timestamp": "2026-01-01T00:00:00Z"}


def follow(url):
    with connected(url, "ocpp2.1") as (charger, call, charger_socket):
        assert charger_socket.subprotocol == "ocpp2.1"
        booted = call("BootNotification", STATION)
        assert booted[0] == 3 and booted[2]["status"] == "Accepted", booted
        assert call("SecurityEventNotification", EVENT)[0::2] == [3, {}]
        assert SecurityEvent.objects.get(charger=charger).type == EVENT["type"]
        assert call("NotifyEvent", {})[0:3:2] == [4, "NotSupported"]
        charger.refresh_from_db()
        assert (charger.ocpp_version, charger.vendor) == ("ocpp2.1", "V")
        command = submission.submit(charger, "GetTransactionStatus", {})
        sent = answer(command.task_id, charger_socket, {"messagesInQueue": True})
        assert sent[2:] == ["GetTransactionStatus", {}], sent
        command.refresh_from_db()
        assert (command.outcome, command.response) == ("answered", {"messagesInQueue": True})
        try:
            submission.submit(charger, "ClearCache", {})
        except Violation as violation:
            print("followed:", violation.message)


with web() as url:
    follow(url)
