"""The six original endpoints with a bare client that offers no subprotocol and never answers."""

import json

from tests.support.live import an_id


def test_the_six_endpoints_with_a_client_that_never_answers(live):
    charger_id = an_id()
    with live.socket(charger_id, subprotocols=None) as socket:
        assert charger_id in live.get("/api/ocpp/chargers/")["active_chargers"]

        started = live.post(f"/api/ocpp/start/{charger_id}/")
        assert started["status"] == "Remote BootNotification Command Sent"
        frame = json.loads(socket.recv(5))
        assert frame == [2, started["task_id"], "TriggerMessage", {"requestedMessage": "BootNotification"}]

        live.request("POST", f"/api/ocpp/stop/{charger_id}/", {"timeout": 0.5})
        authorized = live.post(f"/api/ocpp/authorize/{charger_id}/", {"id_tag": "ABC", "timeout": 0.5})
        assert authorized["status"] == "Authorization command sent for id_tag ABC"

        status = live.get(f"/api/ocpp/status/{charger_id}/")["status"]
        assert (status["charger_id"], status["status"], status["connected"]) == (charger_id, "Unknown", True)
        assert live.get(f"/api/ocpp/transactions/{charger_id}/")["transaction_logs"] == []

        # Nothing came back, so the socket's end finishes what was asked: believed by nobody.
    task = live.finished(started)
    assert (task["outcome"], task["simulated"], task["response"]) == ("connection_lost", True, None)
    assert task["result"] == {"status": "Accepted"}
