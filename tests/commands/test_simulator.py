"""The simulated charger against the running product."""

import asyncio
from pathlib import Path
from urllib.parse import quote

import pytest

from commands.actions.ocpp16.table import ACTIONS
from tests.support.live import an_id, eventually, until_connected
from tools.simulator.connection import Client


def test_a_session_of_a_simulated_charger_is_stored(live):
    charger_id = an_id()
    with live.simulated(charger_id, "--once", "--count", "2") as process:
        said, _ = process.communicate(timeout=60)
    assert "Every charger had its session." in said
    for name in (charger_id, f"{charger_id}-2"):
        (log,) = live.get(f"/api/ocpp/transactions/{name}/")["transaction_logs"]
        assert (log["status"], log["stop_reason"]) == ("Completed", "EVDisconnected")
        assert log["energy_wh"] > 0
        path = f"/api/ocpp/transactions/{name}/{log['transaction_id']}/meter-values/?measurand="
        registers = [float(row["value"]) for row in live.get(f"{path}Energy.Active.Import.Register")["results"]]
        assert registers == sorted(registers)
        assert len(registers) >= 5


def test_a_simulated_charger_answers_every_command(live):
    charger_id = an_id()
    with live.simulated(charger_id, "--pause", "600"):
        until_connected(live, charger_id)
        assert EVERY_COMMAND.keys() == ACTIONS.keys()
        for action, payload in EVERY_COMMAND.items():
            task = live.finished(live.ask(charger_id, action, payload, timeout=10))
            assert (task["outcome"], task["simulated"]) == ("answered", False), task


def test_a_simulated_charger_leaves_its_log_and_renews_its_certificate(live):
    charger_id = an_id()
    with live.simulated(charger_id, "--pause", "600"):
        until_connected(live, charger_id)
        live.ask(charger_id, "GetDiagnostics", {})
        live.ask(charger_id, "ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"})
        of_charger = f"?charger_id={charger_id}"
        eventually(lambda: live.get(f"/api/ocpp/uploads/{of_charger}")["results"][0]["size"])
        certificates = f"/api/ocpp/certificates/{of_charger}&state=Accepted"
        (made,) = eventually(lambda: live.get(certificates)["results"], 20)
    assert made["common_name"] == charger_id
    assert made["certificate_chain"].startswith("-----BEGIN CERTIFICATE")


def test_a_session_goes_on_while_the_connection_is_lost(live):
    with live.simulated(charger_id := an_id(), "--pause", "0.2", "--sample-interval", "0.2"):
        path = f"/api/ocpp/transactions/{charger_id}/?status="
        eventually(lambda: live.get(f"{path}Ongoing").get("count"), 60)
        with live.socket(charger_id):  # takes the simulated charger's place, for a moment
            pass
        stopped = eventually(lambda: live.get(f"{path}Completed")["transaction_logs"], 60)
    readings = f"/api/ocpp/transactions/{charger_id}/{stopped[-1]['transaction_id']}/meter-values/"
    assert stopped[-1]["stop_reason"] == "EVDisconnected"
    assert len(live.get(readings)["results"]) == 18 * 5


@pytest.mark.parametrize("name", ["a/../b", "ü€😀 ?#", "%2F"])
def test_an_odd_id_arrives_as_it_is(live, name):
    charger_id = an_id() + name

    async def connect():
        client = Client(live.ws_url, charger_id)
        await client.connect()
        return await client.call("Heartbeat", {})

    assert asyncio.run(connect())["currentTime"]
    assert live.get(f"/api/ocpp/chargers/{quote(charger_id, safe='')}/")["charger_id"] == charger_id


def create(live, charger_id, *options):
    """Create a charger with `manage.py create_charger`; the last word of its output, which is the key."""
    return live.stack.manage("A charger", "create_charger", charger_id, *options).split()[-1]


def test_chargers_connect_over_tls_with_a_key_and_with_a_certificate(live):
    keyed, certified = an_id(), an_id()
    key = create(live, keyed, "--security-profile", "2", "--new-key")
    create(live, certified, "--security-profile", "3")
    certificate = live.stack.manage("Its certificate", "make_certificates", "--charger", certified).split()[-1]
    roots = str(Path(certificate).with_name("roots.pem"))
    options = ("--url", f"wss://localhost:{live.stack.env['TLS_PORT']}", "--ca", roots)
    with (
        live.simulated(keyed, *options, env={"SIMULATOR_KEY": key}),
        live.simulated(certified, *options, "--certificate", certificate),
    ):
        until_connected(live, keyed, certified)


def test_a_silent_simulated_charger_answers_no_command(live):
    charger_id = an_id()
    with live.simulated(charger_id, "--silent"):
        until_connected(live, charger_id)
        task = live.finished(live.ask(charger_id, "ClearCache", {}, timeout=1))
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
