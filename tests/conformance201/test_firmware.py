"""Firmware management (L): the cases for a central system."""

from datetime import UTC, datetime, timedelta

from core.ocpp.timestamps import to_rfc3339
from tests.support.station201 import EVSE

LOCATION = "https://firmware.example/1.1.bin"
SIGNED = {"signingCertificate": "-----BEGIN CERTIFICATE-----", "signature": "MEUCIQ=="}
CHECKSUM = "d41d8cd98f00b204e9800998ecf8427e"
VERIFIED = ("Downloading", "Downloaded", "SignatureVerified")
CANCELED = {"status": "AcceptedCanceled"}


def in_an_hour():
    return to_rfc3339(datetime.now(UTC) + timedelta(hours=1))


def update(station, answer=None, **firmware):
    """UpdateFirmware with a signed image: (request at the wire, task)."""
    firmware = {"location": LOCATION, "retrieveDateTime": to_rfc3339(datetime.now(UTC)), **SIGNED, **firmware}
    request, task = station.obeys("UpdateFirmware", {"firmware": firmware}, answer)
    assert request["firmware"] == firmware
    assert request["requestId"] > 0
    return request, task


def notify(station, request, *statuses):
    for status in statuses:
        body = {"status": status, "requestId": request["requestId"]}
        assert station.call("FirmwareStatusNotification", **body) == {}


def reboot(station):
    """The charger comes back with the new firmware."""
    station.drop()
    station.connect()
    assert station.boot("FirmwareUpdate", firmwareVersion="1.1")["status"] == "Accepted"
    for evse in (1, 2):
        station.status("Available", evse)


def progress(station, task):
    return [step["status"] for step in station.live.finished(task)["progress"]]


def is_completed(station, task):
    return station.live.finished(task)["completed_at"] is not None


def installed_over_a_reboot(station, request, task, *before):
    """The rest of a successful update, of which `before` was notified already."""
    notify(station, request, "InstallRebooting")
    reboot(station)
    notify(station, request, "Installed")
    assert progress(station, task) == [*before, "InstallRebooting", "Installed"]
    assert is_completed(station, task)
    assert (station.shown["firmware_status"], station.shown["firmware_version"]) == ("Installed", "1.1")


def security_event(station, kind):
    assert station.call("SecurityEventNotification", type=kind, timestamp=to_rfc3339(datetime.now(UTC))) == {}
    events = station.live.get(f"/api/ocpp/security-events/?charger_id={station.path}")["results"]
    assert kind in [event["type"] for event in events]


def test_tc_l_01_csms(station):
    """Secure Firmware Update - Installation successful"""
    request, task = update(station)
    notify(station, request, *VERIFIED, "Installing")
    installed_over_a_reboot(station, request, task, *VERIFIED, "Installing")
    security_event(station, "FirmwareUpdated")


def test_tc_l_02_csms(station):
    """Secure Firmware Update - InstallScheduled"""
    request, task = update(station, installDateTime=in_an_hour())
    scheduled = (*VERIFIED, "InstallScheduled", "Installing")
    notify(station, request, *scheduled)
    installed_over_a_reboot(station, request, task, *scheduled)


def test_tc_l_03_csms(station):
    """Secure Firmware Update - DownloadScheduled"""
    request, task = update(station, retrieveDateTime=in_an_hour())
    scheduled = ("DownloadScheduled", *VERIFIED, "Installing")
    notify(station, request, *scheduled)
    installed_over_a_reboot(station, request, task, *scheduled)


def test_tc_l_04_csms(station):
    """Secure Firmware Update - RevokedCertificate"""
    is_refused(station, "RevokedCertificate")


def is_refused(station, status):
    """Nothing is delivered after a refusal."""
    _, task = update(station, {"status": status})
    assert task["result"] == {"status": status}
    assert (task["progress"], task["completed_at"]) == ([], task["finished_at"])


def test_tc_l_05_csms(station):
    """Secure Firmware Update - InvalidCertificate"""
    is_refused(station, "InvalidCertificate")
    security_event(station, "InvalidFirmwareSigningCertificate")


def fails(station, *statuses):
    request, task = update(station)
    notify(station, request, *statuses)
    assert progress(station, task) == [*statuses]
    assert is_completed(station, task)
    assert station.shown["firmware_status"] == statuses[-1]


def test_tc_l_06_csms(station):
    """Secure Firmware Update - InvalidSignature"""
    fails(station, "Downloading", "Downloaded", "InvalidSignature")
    security_event(station, "InvalidFirmwareSignature")


def test_tc_l_07_csms(station):
    """Secure Firmware Update - DownloadFailed"""
    fails(station, "Downloading", "DownloadFailed")


def test_tc_l_08_csms(station):
    """Secure Firmware Update - InstallVerificationFailed"""
    fails(station, *VERIFIED, "Installing", "InstallVerificationFailed")


def test_tc_l_09_csms(station):
    """Secure Firmware Update - InstallationFailed"""
    request, task = update(station)
    notify(station, request, *VERIFIED, "Installing", "InstallRebooting")
    reboot(station)
    notify(station, request, "InstallationFailed")
    assert progress(station, task)[-2:] == ["InstallRebooting", "InstallationFailed"]
    assert is_completed(station, task)


def test_tc_l_10_csms(station):
    """Secure Firmware Update - AcceptedCanceled"""
    first, cancelled = update(station)
    notify(station, first, "Downloading")
    second, task = update(station, CANCELED)
    assert second["requestId"] != first["requestId"]
    assert progress(station, cancelled) == ["Downloading", "AcceptedCanceled"]
    assert is_completed(station, cancelled)
    notify(station, second, *VERIFIED, "Installing")
    installed_over_a_reboot(station, second, task, *VERIFIED, "Installing")
    assert progress(station, cancelled) == ["Downloading", "AcceptedCanceled"]


def test_tc_l_11_csms(station):
    """Secure Firmware Update - Unable to cancel"""
    first, task = update(station)
    notify(station, first, "Downloading")
    is_refused(station, "Rejected")
    notify(station, first, "Downloaded", "SignatureVerified", "Installing")
    installed_over_a_reboot(station, first, task, *VERIFIED, "Installing")


def test_tc_l_13_csms(station):
    """Secure Firmware Update - Unable to download/install firmware with ongoing transaction"""
    station.authorized()
    session = station.session()
    session.start()
    request, task = update(station)
    notify(station, request, "DownloadScheduled")
    station.status("Unavailable", evse=2)
    session.end()
    station.status("Available", EVSE)
    notify(station, request, *VERIFIED, "Installing")
    installed_over_a_reboot(station, request, task, "DownloadScheduled", *VERIFIED, "Installing")


# --- a local controller ----------------------------------------------------------------------


def publish(station):
    payload = {"location": LOCATION, "checksum": CHECKSUM}
    request, task = station.obeys("PublishFirmware", payload)
    assert request == payload | {"requestId": request["requestId"]}
    return request, task


def publication(station, request, *statuses, **last):
    """The charger notifies `statuses`, the last one with the members `last`."""
    for status in statuses:
        more = last if status == statuses[-1] else {}
        body = {"status": status, "requestId": request["requestId"], **more}
        assert station.call("PublishFirmwareStatusNotification", **body) == {}


def published(station):
    rows = station.live.get(f"/api/ocpp/published-firmware/?charger_id={station.path}")["results"]
    return {row["checksum"]: (row["status"], row["locations"]) for row in rows}


def ends(station, *statuses, **last):
    request, task = publish(station)
    publication(station, request, *statuses, **last)
    assert progress(station, task) == [*statuses]
    assert is_completed(station, task)
    assert published(station) == {CHECKSUM: (statuses[-1], last.get("location", []))}


def test_tc_l_17_csms(station):
    """Publish Firmware - Published"""
    urls = ["http://10.0.0.2/1.1.bin", "ftp://10.0.0.2/1.1.bin"]
    ends(station, "Downloading", "Downloaded", "ChecksumVerified", "Published", location=urls)


def test_tc_l_24_csms(station):
    """Publish Firmware - DownloadFailed"""
    ends(station, "Downloading", "DownloadFailed")


def test_tc_l_19_csms(station):
    """Publish Firmware - InvalidChecksum"""
    ends(station, "Downloading", "Downloaded", "InvalidChecksum")


def test_tc_l_20_csms(station):
    """Publish Firmware - PublishFailed"""
    ends(station, "Downloading", "Downloaded", "ChecksumVerified", "PublishFailed")


def unpublish(station, status):
    request, task = station.obeys("UnpublishFirmware", {"checksum": CHECKSUM}, {"status": status})
    assert request == {"checksum": CHECKSUM}
    assert task["result"] == {"status": status}


def test_tc_l_21_csms(station):
    """Unpublish Firmware - Unpublished"""
    request, _ = publish(station)
    publication(station, request, "Downloading", "Published", location=["http://10.0.0.2/1.1.bin"])
    unpublish(station, "Unpublished")
    assert published(station) == {CHECKSUM: ("Unpublished", [])}


def test_tc_l_22_csms(station):
    """Unpublish Firmware - NoFirmware"""
    unpublish(station, "NoFirmware")
    assert published(station) == {}


def test_tc_l_23_csms(station):
    """Unpublish Firmware - DownloadOngoing"""
    request, _ = publish(station)
    publication(station, request, "Downloading", "Published", location=["http://10.0.0.2/1.1.bin"])
    unpublish(station, "DownloadOngoing")
    assert published(station) == {CHECKSUM: ("Published", ["http://10.0.0.2/1.1.bin"])}
