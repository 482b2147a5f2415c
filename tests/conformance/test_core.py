"""Core: boot, sessions, remote actions, unlocking, configuration, authorisation, offline (34 cases)."""

from datetime import UTC, datetime

import pytest

from tests.support.live import an_id, eventually
from tests.support.station import BLOCKED, CONNECTOR, EXPIRED, TAG, Station, now

LONG_AGO = "2025-02-26T12:00:00.000Z"


# --- boot and charging sessions ------------------------------------------------------------------


def test_tc_001_cold_boot(system, admin):
    with Station(system) as station:
        station.connect()
        answer = station.boot()
        assert answer["status"] == "Accepted" and answer["interval"] > 0 and answer["currentTime"].endswith("Z")
        for connector in (0, 1, 2):
            station.status("Available", connector)
        beat = datetime.fromisoformat(station.call("Heartbeat")["currentTime"])
        assert abs((datetime.now(UTC) - beat).total_seconds()) < 60
        station.is_left_alone()
        shown = station.shown
        assert (shown["registration_status"], shown["vendor"]) == ("Accepted", "Tool") and shown["last_boot_at"]
        assert [c["status"] for c in shown["connectors"]] == ["Available"] * 3
        assert "Tool" in admin.charger(station)


def test_tc_003_plug_in_first(station, admin):
    station.status("Preparing")
    station.authorized()
    started = station.start()
    assert started["idTagInfo"]["status"] == "Accepted"
    station.status("Charging")
    transaction = station.transaction()
    assert (transaction["transaction_id"], transaction["status"]) == (started["transactionId"], "Ongoing")
    assert TAG in admin.transaction(started["transactionId"])


def test_tc_004_1_identification_first(station):
    transaction_id = station.charging()
    assert station.transaction()["transaction_id"] == transaction_id
    assert station.connector()["status"] == "Charging"


def test_tc_004_2_identification_first_and_a_connection_timeout(station):
    station.authorized()
    station.status("Preparing")
    station.status("Available")
    assert station.transactions == [] and station.connector()["status"] == "Available"


def test_tc_005_1_disconnected_at_the_vehicle(station, admin):
    transaction_id = station.charging()
    station.status("SuspendedEV")
    assert station.stop(transaction_id, "EVDisconnected") == {}
    station.status("Finishing")
    station.status("Available")
    transaction = station.transaction()
    assert (transaction["status"], transaction["stop_reason"]) == ("Completed", "EVDisconnected")
    assert (transaction["meter_stop"], transaction["energy_wh"]) == (3000, 2000) and transaction["end_time"]
    assert "EVDisconnected" in admin.transaction(transaction_id)


def test_tc_007_start_with_a_cached_id(station):
    station.status("Preparing")
    assert station.start()["idTagInfo"]["status"] == "Accepted"
    station.status("Charging")
    assert station.transaction()["id_tag_status"] == "Accepted"


def test_tc_061_clear_the_authorisation_cache(station, admin):
    request, task = station.obeys("ClearCache", {})
    assert request == {} and "Accepted" in admin.command(task)


# --- remote actions ------------------------------------------------------------------------------


def remote_start(station, **more):
    payload = {"idTag": TAG, "connectorId": CONNECTOR}
    request, task = station.obeys("RemoteStartTransaction", payload, **more)
    assert request == payload
    return task


def test_tc_010_remote_start_with_the_cable_plugged(station):
    station.status("Preparing")
    task = remote_start(station)
    station.authorized()
    started = station.start()
    assert started["idTagInfo"]["status"] == "Accepted"
    station.status("Charging")
    assert station.live.finished(task)["transaction_id"] == started["transactionId"]


def test_tc_011_1_remote_start_before_the_cable_is_plugged(station):
    task = remote_start(station)
    station.authorized()
    station.status("Preparing")
    started = station.start()
    assert started["idTagInfo"]["status"] == "Accepted"
    station.status("Charging")
    assert station.live.finished(task)["transaction_id"] == started["transactionId"]


def test_tc_011_2_remote_start_and_a_timeout(station):
    task = remote_start(station)
    station.authorized()
    station.status("Preparing")
    station.status("Available")
    assert station.transactions == [] and station.live.finished(task)["transaction_id"] is None


def test_tc_012_remote_stop(station):
    transaction_id = station.charging()
    request, _ = station.obeys("RemoteStopTransaction", {"transactionId": transaction_id})
    assert request == {"transactionId": transaction_id}
    assert station.transaction()["status"] == "Ongoing"
    assert station.stop(transaction_id, "Remote") == {}
    station.status("Finishing")
    station.status("Available")
    assert station.transaction()["status"] == "Completed" and station.transaction()["stop_reason"] == "Remote"


@pytest.mark.parametrize("kind", ["Hard"])
def test_tc_013_hard_reset(station, kind):
    reset(station, kind)


@pytest.mark.parametrize("kind", ["Soft"])
def test_tc_014_soft_reset(station, kind):
    reset(station, kind)


def reset(station, kind):
    before = station.shown["last_boot_at"]
    request, _ = station.obeys("Reset", {"type": kind})
    assert request == {"type": kind}
    station.drop()
    station.connect().booted()
    assert station.shown["last_boot_at"] > before


def test_tc_026_remote_start_rejected(station, admin):
    task = remote_start(station, answer={"status": "Rejected"})
    station.is_left_alone()
    assert station.transactions == [] and task["transaction_id"] is None
    assert "Rejected" in admin.command(task)


def test_tc_028_remote_stop_rejected(station):
    station.charging()
    request, _ = station.obeys("RemoteStopTransaction", {"transactionId": 2**31 - 1}, {"status": "Rejected"})
    assert request == {"transactionId": 2**31 - 1}
    assert station.transaction()["status"] == "Ongoing"


# --- unlocking -----------------------------------------------------------------------------------


def unlock(station, status, connector=CONNECTOR):
    request, task = station.obeys("UnlockConnector", {"connectorId": connector}, {"status": status})
    assert request == {"connectorId": connector}
    return task


def test_tc_017_1_unlock_without_a_session_loose_cable(station):
    assert unlock(station, "Unlocked")["result"] == {"status": "Unlocked"}


def test_tc_017_2_unlock_without_a_session_fixed_cable(station, admin):
    task = unlock(station, "NotSupported")
    assert task["error"] is None and "NotSupported" in admin.command(task)


def test_tc_018_1_unlock_during_a_session(station):
    transaction_id = station.charging()
    unlock(station, "Unlocked")
    station.status("Finishing")
    assert station.transaction()["status"] == "Ongoing"
    assert station.stop(transaction_id, "UnlockCommand") == {}
    station.status("Available")
    assert station.transaction()["stop_reason"] == "UnlockCommand"


def test_tc_030_unlock_failure(station, admin):
    assert "UnlockFailed" in admin.command(unlock(station, "UnlockFailed"))


def test_tc_031_unlock_an_unknown_connector(station):
    unlock(station, "NotSupported", connector=99)


# --- configuration -------------------------------------------------------------------------------

KEYS = [
    *("AuthorizeRemoteTxRequests", "ClockAlignedDataInterval", "ConnectionTimeOut", "ConnectorPhaseRotation"),
    *("GetConfigurationMaxKeys", "HeartbeatInterval", "LocalAuthorizeOffline", "LocalPreAuthorize"),
    *("MeterValuesAlignedData", "MeterValuesSampledData", "MeterValueSampleInterval", "NumberOfConnectors"),
    *("ResetRetries", "StopTransactionOnEVSideDisconnect", "StopTransactionOnInvalidId", "StopTxnAlignedData"),
    *("StopTxnSampledData", "SupportedFeatureProfiles", "TransactionMessageAttempts"),
    *("TransactionMessageRetryInterval", "UnlockConnectorOnEVSideDisconnect", "LocalAuthListEnabled"),
    *("LocalAuthListMaxLength", "SendLocalListMaxLength", "ChargeProfileMaxStackLevel"),
]


@pytest.mark.parametrize("payload", [{}, {"key": []}])
def test_tc_019_1_read_all_keys(station, admin, payload):
    body = [{"key": key, "readonly": key.startswith("Number"), "value": "1"} for key in KEYS]
    body.append({"key": "Secretive", "readonly": True})
    request, _ = station.obeys("GetConfiguration", payload, {"configurationKey": body})
    assert not request.get("key")
    assert station.configuration == dict.fromkeys(KEYS, "1") | {"Secretive": None}
    assert "ConnectionTimeOut" in admin.charger(station)


def test_tc_019_2_read_one_key(station):
    body = [{"key": "SupportedFeatureProfiles", "readonly": True, "value": "Core"}]
    answer = {"configurationKey": body, "unknownKey": []}
    request, _ = station.obeys("GetConfiguration", {"key": ["SupportedFeatureProfiles"]}, answer)
    assert request == {"key": ["SupportedFeatureProfiles"]}
    assert station.configuration == {"SupportedFeatureProfiles": "Core"}


def change(station, key, value, status):
    request, _ = station.obeys("ChangeConfiguration", {"key": key, "value": value}, {"status": status})
    assert request == {"key": key, "value": value}


def test_tc_021_set_a_key(station):
    change(station, "MeterValueSampleInterval", "60", "Accepted")
    assert station.configuration == {"MeterValueSampleInterval": "60"}


def test_tc_040_1_set_an_unsupported_key(station):
    change(station, "NobodyKnowsIt", "1", "NotSupported")
    assert station.configuration == {}


def test_tc_040_2_set_an_invalid_value(station):
    change(station, "MeterValueSampleInterval", "60", "Accepted")
    change(station, "MeterValueSampleInterval", "-1", "Rejected")
    assert station.configuration == {"MeterValueSampleInterval": "60"}


# --- authorisation, power loss, offline ----------------------------------------------------------


def verdict(station, tag):
    return station.call("Authorize", idTag=tag)["idTagInfo"]["status"]


def test_tc_023_1_an_invalid_tag(station):
    tag = an_id()
    assert verdict(station, tag) == "Invalid"
    (unknown,) = station.live.get(f"/api/ocpp/unknown-id-tags/?id_tag={tag}")["results"]
    assert unknown["charger_id"] == station.identity


def test_tc_023_2_an_expired_tag(station):
    assert verdict(station, EXPIRED) == "Expired"


def test_tc_023_3_a_blocked_tag(station):
    assert verdict(station, BLOCKED) == "Blocked"


def test_tc_024_lock_failure_at_the_start(station, admin):
    station.authorized()
    station.status("Preparing")
    station.status("Faulted", error="ConnectorLockFailure")
    connector = station.connector()
    assert (connector["status"], connector["error_code"]) == ("Faulted", "ConnectorLockFailure")
    assert station.transactions == [] and "ConnectorLockFailure" in admin.charger(station)


def test_tc_032_1_power_loss_and_a_stop_after_the_reboot(station):
    transaction_id = station.charging()
    station.drop()
    station.connect()
    assert station.boot()["status"] == "Accepted"
    for connector, status in ((0, "Available"), (1, "Finishing"), (2, "Available")):
        station.status(status, connector)
    assert station.transaction()["status"] == "Ongoing"
    assert station.stop(transaction_id, "PowerLoss") == {}
    assert station.transaction()["stop_reason"] == "PowerLoss"


@pytest.fixture
def returned(station):
    """Reconnect after a lost connection, without a second boot."""
    station.drop()
    return station.connect()


def test_tc_037_1_offline_start_with_a_valid_tag(returned):
    assert returned.start(timestamp=LONG_AGO)["idTagInfo"]["status"] == "Accepted"
    returned.status("Charging")
    transaction = returned.transaction()
    assert transaction["start_time"] == "2025-02-26T12:00:00Z" and transaction["start_received_at"] > "2026"


def test_tc_037_3_offline_start_with_an_invalid_tag(returned):
    started = returned.start(tag=an_id(), timestamp=now())
    assert started["idTagInfo"]["status"] == "Invalid"
    returned.status("Charging")
    assert returned.stop(started["transactionId"], "DeAuthorized") == {}
    returned.status("Finishing")
    transaction = returned.transaction()
    assert (transaction["status"], transaction["id_tag_status"]) == ("Completed", "Invalid")


def test_tc_039_a_whole_transaction_offline(returned):
    started = returned.start(timestamp=LONG_AGO)
    assert started["idTagInfo"]["status"] == "Accepted"
    assert returned.stop(started["transactionId"], "Local", timestamp="2025-02-26T13:00:00Z") == {}
    transaction = returned.transaction()
    assert (transaction["end_time"], transaction["duration_seconds"]) == ("2025-02-26T13:00:00Z", 3600)
    assert eventually(lambda: returned.live.get(f"/api/ocpp/status/{returned.identity}/")["status"]["connected"])


def test_tc_064_data_transfer_of_an_unknown_vendor(station, admin):
    assert station.call("DataTransfer", vendorId="nobody.example", data="x") == {"status": "UnknownVendorId"}
    (kept,) = station.live.get(f"/api/ocpp/data-transfers/?charger_id={station.identity}")["results"]
    assert (kept["vendor_id"], kept["data"], kept["status"]) == ("nobody.example", "x", "UnknownVendorId")
    assert "nobody.example" in admin.page(f"chargers/datatransfer/?q={station.identity}")
