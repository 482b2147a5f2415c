"""The simulated charger against the running product."""

import subprocess
import sys

from tests.support.live import an_id, eventually
from tools.stack.stack import PROJECT


def simulate(live, *arguments):
    command = [sys.executable, "manage.py", "simulate_charger", *arguments, "--url", live.stack.ws_url]
    return subprocess.Popen(
        command, cwd=PROJECT, env=live.stack.env | {"LOG_FORMAT": "line"}, stdout=subprocess.PIPE, text=True
    )


def test_one_session_of_a_simulated_charger_is_in_the_books(live):
    charger_id = an_id()
    said, _ = simulate(live, charger_id, "--once", "--count", "2").communicate(timeout=60)
    assert "Every charger had its session." in said
    for name in (charger_id, f"{charger_id}-2"):
        (log,) = live.get(f"/api/ocpp/transactions/{name}/")["transaction_logs"]
        assert (log["status"], log["stop_reason"]) == ("Completed", "EVDisconnected") and log["energy_wh"] > 0
        path = f"/api/ocpp/transactions/{name}/{log['transaction_id']}/meter-values/?measurand="
        registers = [float(row["value"]) for row in live.get(f"{path}Energy.Active.Import.Register")["results"]]
        assert registers == sorted(registers) and len(registers) >= 5


def test_a_simulated_charger_answers_every_command(live):
    charger_id = an_id()
    process = simulate(live, charger_id, "--pause", "600")
    try:
        eventually(lambda: charger_id in live.get("/api/ocpp/chargers/")["active_chargers"])
        for action, payload in EVERY_COMMAND.items():
            task = live.finished(live.ask(charger_id, action, payload, timeout=10))
            assert (task["outcome"], task["simulated"]) == ("answered", False), task
    finally:
        process.terminate()
        process.wait(10)


def test_a_simulated_charger_leaves_its_log_and_renews_its_certificate(live):
    charger_id = an_id()
    process = simulate(live, charger_id, "--pause", "600")
    try:
        eventually(lambda: charger_id in live.get("/api/ocpp/chargers/")["active_chargers"])
        live.ask(charger_id, "GetDiagnostics", {})
        live.ask(charger_id, "ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"})
        of_charger = f"?charger_id={charger_id}"
        eventually(lambda: live.get(f"/api/ocpp/uploads/{of_charger}")["results"][0]["size"])
        certificates = f"/api/ocpp/certificates/{of_charger}&state=Accepted"
        (made,) = eventually(lambda: live.get(certificates)["results"], 20)
    finally:
        process.terminate()
        process.wait(10)
    assert made["common_name"] == charger_id and made["certificate_chain"].startswith("-----BEGIN CERTIFICATE")


def test_a_session_goes_on_while_the_connection_is_lost(live):
    process = simulate(live, charger_id := an_id(), "--pause", "0.2", "--sample-interval", "0.2")
    try:
        path = f"/api/ocpp/transactions/{charger_id}/?status="
        eventually(lambda: live.get(f"{path}Ongoing").get("count"))
        with live.socket(charger_id):  # takes the simulated charger's place, for a moment
            pass
        stopped = eventually(lambda: live.get(f"{path}Completed")["transaction_logs"], 30)
    finally:
        process.terminate()
        process.wait(10)
    readings = f"/api/ocpp/transactions/{charger_id}/{stopped[-1]['transaction_id']}/meter-values/"
    assert stopped[-1]["stop_reason"] == "EVDisconnected" and len(live.get(readings)["results"]) == 18 * 5


def test_a_silent_one_answers_none(live):
    charger_id = an_id()
    process = simulate(live, charger_id, "--silent")
    try:
        eventually(lambda: charger_id in live.get("/api/ocpp/chargers/")["active_chargers"])
        task = live.finished(live.ask(charger_id, "ClearCache", {}, timeout=1))
    finally:
        process.terminate()
        process.wait(10)
    assert (task["outcome"], task["simulated"]) == ("timed_out", True)


_PROFILE = {
    "stackLevel": 0,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}]},
}
_FIRMWARE = {
    "location": "ftp://example.org/fw",
    "retrieveDateTime": "2030-01-01T00:00:00Z",
    "signingCertificate": "PEM",
    "signature": "c2ln",
}
_HASHES = {"hashAlgorithm": "SHA256", "issuerNameHash": "ab", "issuerKeyHash": "cd", "serialNumber": "1"}
EVERY_COMMAND = {
    "CancelReservation": {"reservationId": 1},
    "ChangeAvailability": {"connectorId": 0, "type": "Operative"},
    "ChangeConfiguration": {"key": "HeartbeatInterval", "value": "60"},
    "ClearCache": {},
    "ClearChargingProfile": {},
    "DataTransfer": {"vendorId": "com.example"},
    "GetCompositeSchedule": {"connectorId": 1, "duration": 60},
    "GetConfiguration": {},
    "GetDiagnostics": {"location": "ftp://example.org/upload"},
    "GetLocalListVersion": {},
    "RemoteStartTransaction": {"idTag": "DEMO-TAG", "connectorId": 1},
    "RemoteStopTransaction": {"transactionId": 0},
    "ReserveNow": {"connectorId": 1, "expiryDate": "2030-01-01T00:00:00Z", "idTag": "DEMO-TAG"},
    "SendLocalList": {"updateType": "Full", "localAuthorizationList": []},
    "SetChargingProfile": {"connectorId": 1, "csChargingProfiles": _PROFILE},
    "TriggerMessage": {"requestedMessage": "MeterValues", "connectorId": 1},
    "UnlockConnector": {"connectorId": 2},
    "UpdateFirmware": {"location": "ftp://example.org/firmware", "retrieveDate": "2030-01-01T00:00:00Z"},
    "GetLog": {"logType": "SecurityLog", "log": {"remoteLocation": "ftp://example.org/"}},
    "SignedUpdateFirmware": {"firmware": _FIRMWARE},
    "ExtendedTriggerMessage": {"requestedMessage": "Heartbeat"},
    "InstallCertificate": {"certificateType": "ManufacturerRootCertificate", "certificate": "PEM"},
    "DeleteCertificate": {"certificateHashData": _HASHES},
    "GetInstalledCertificateIds": {"certificateType": "ManufacturerRootCertificate"},
    "CertificateSigned": {"certificateChain": "PEM"},
    "Reset": {"type": "Soft"},
}
