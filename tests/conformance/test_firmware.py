"""Firmware and diagnostics (5 cases)."""

from tests.support.station import now

LOCATION = "ftp://firmware.example/1.1.bin"


def update(station):
    payload = {"location": LOCATION, "retrieveDate": now()}
    request, task = station.obeys("UpdateFirmware", payload, {})
    assert request == payload
    return task


def notify(station, *statuses, of="Firmware"):
    for status in statuses:
        assert station.call(f"{of}StatusNotification", status=status) == {}


def progress(station, task):
    return [step["status"] for step in station.live.finished(task)["progress"]]


def install_over_a_reboot(station, end):
    task = update(station)
    notify(station, "Downloading", "Downloaded")
    for connector in (1, 2):
        station.status("Unavailable", connector)
    notify(station, "Installing")
    station.drop()
    station.connect().booted()
    notify(station, end)
    assert progress(station, task) == ["Downloading", "Downloaded", "Installing", end]
    assert station.shown["firmware_status"] == end
    return task


def test_tc_044_1_firmware_update(station, admin):
    install_over_a_reboot(station, "Installed")
    assert "Installed" in admin.charger(station)


def test_tc_044_2_the_download_fails(station):
    task = update(station)
    notify(station, "Downloading", "DownloadFailed")
    assert progress(station, task) == ["Downloading", "DownloadFailed"]


def test_tc_044_3_the_installation_fails(station):
    install_over_a_reboot(station, "InstallationFailed")


def diagnostics(station, end):
    payload = {"location": "ftp://logs.example/"}
    request, task = station.obeys("GetDiagnostics", payload, {"fileName": "diagnostics.log"})
    assert request == payload
    notify(station, "Uploading", end, of="Diagnostics")
    assert progress(station, task) == ["Uploading", end]
    assert station.shown["diagnostics_status"] == end


def test_tc_045_1_get_diagnostics(station):
    diagnostics(station, "Uploaded")


def test_tc_045_2_the_upload_of_diagnostics_fails(station):
    diagnostics(station, "UploadFailed")
