"""Firmware of chargers of OCPP 2.0.1: the library, the notifications, and images for other chargers."""

import time
from datetime import UTC, datetime
from hashlib import md5

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from chargers.models import Charger, Event
from commands.actions.ocpp201.table import ACTIONS
from commands.models import Command, Firmware, PublishedFirmware
from commands.services.files import firmware_url
from commands.services.lifecycle import _finish
from core.ocpp.versions import OCPP201
from tests.support.builders import a_charger, a_command, tell

pytestmark = pytest.mark.django_db(transaction=True)
SIGNED = {"signing_certificate": "PEM", "signature": "c2ln"}
MINE = ("UpdateFirmware", "PublishFirmware", "UnpublishFirmware", "GetLog")
PUBLISH = {"location": "ftp://host/1.bin", "checksum": "c", "requestId": 7}
DISPLAY = ("SetDisplayMessage", "GetDisplayMessages", "ClearDisplayMessage")


@pytest.fixture(autouse=True)
def public_url(settings, tmp_path):
    settings.PUBLIC_URL, settings.MEDIA_ROOT = "http://charging.example", tmp_path / "files"


@pytest.fixture
def charger():
    return a_charger("505", ocpp_version="ocpp2.0.1")


def a_firmware(api, **more):
    form = {"description": "2.0", "file": SimpleUploadedFile("fw.bin", b"image"), **more}
    return api.post("/api/ocpp/firmware/", form).json()["id"]


def post(api, path, **body):
    return api.post(f"/api/ocpp/{path}", {"charger_id": "505", **body}, "application/json")


def an_update(charger, action="UpdateFirmware", payload=None, answer=None, request_id=7, **columns):
    columns |= {"state": "sent", "sent_at": datetime.now(UTC), "request_id": request_id}
    command = a_command(charger, action, payload, **columns)
    return _finish(command, "answered", response=answer or {"status": "Accepted"})


def statuses(command):
    return [step["status"] for step in Command.objects.get(pk=command.pk).progress]


@pytest.mark.parametrize("name", [*MINE, *DISPLAY])
def test_each_simulated_reply_is_valid(name):
    OCPP201.schemas.check_response(name, ACTIONS[name].simulated)


@pytest.mark.parametrize(("image", "extra"), [(SIGNED, {"signingCertificate": "PEM", "signature": "c2ln"}), ({}, {})])
def test_an_image_of_the_library_is_installed_with_its_signature(api, charger, image, extra):
    number = a_firmware(api, **image)
    answer = post(api, f"firmware/{number}/install/", install_date="2036-01-01T00:00:00Z", retries=2)
    assert answer.status_code == 202
    command = Command.objects.get()
    firmware = command.payload["firmware"]
    assert (command.action, command.request_id) == ("UpdateFirmware", command.payload["requestId"])
    assert (firmware.pop("installDateTime"), command.payload["retries"]) == ("2036-01-01T00:00:00.000Z", 2)
    assert firmware.keys() - extra.keys() == {"location", "retrieveDateTime"}
    assert firmware.items() >= extra.items()


def test_a_url_of_the_library_is_sent_with_its_signature(api, charger):
    url = firmware_url(Firmware.objects.get(pk=a_firmware(api, **SIGNED)), time.time() + 60)
    body = {"action": "UpdateFirmware", "payload": {"firmware": {"location": url}}}
    assert post(api, "commands/", **body).status_code == 202
    firmware = Command.objects.get().payload["firmware"]
    assert (firmware["signature"], firmware["signingCertificate"]) == ("c2ln", "PEM")
    assert firmware["retrieveDateTime"]


def test_half_a_signature_is_sent_with_a_warning(api, charger):
    firmware = {"location": "https://host/1.bin", "signature": "c2ln"}
    task = post(api, "commands/", action="UpdateFirmware", payload={"firmware": firmware}).json()
    assert "signing certificate" in task["warning"]


def test_a_notification_without_a_request_id_is_about_the_latest_update(charger):
    first, second = (an_update(charger, request_id=number) for number in (7, 8))
    tell(charger, "FirmwareStatusNotification", status="Downloading")
    tell(charger, "FirmwareStatusNotification", status="DownloadFailed", requestId=7)
    assert (statuses(first), statuses(second)) == (["DownloadFailed"], ["Downloading"])
    tell(charger, "FirmwareStatusNotification", status="Idle")
    assert statuses(second) == ["Downloading"]
    assert Charger.objects.get().firmware_status == "Idle"


def test_an_update_from_ocpp_1_6_is_completed_in_2_0_1(charger):
    update = an_update(charger, "SignedUpdateFirmware", ocpp_version="ocpp1.6")
    tell(charger, "FirmwareStatusNotification", status="Installed", requestId=7)
    assert Command.objects.get(pk=update.pk).completed_at


def test_an_answer_that_cancels_a_former_update_completes_it(charger):
    former = an_update(charger, request_id=7)
    newer = an_update(charger, answer={"status": "AcceptedCanceled"}, request_id=8)
    cancelled = Command.objects.get(pk=former.pk)
    assert (statuses(cancelled), newer.completed_at) == (["AcceptedCanceled"], None)
    assert cancelled.completed_at
    assert Event.objects.get(kind="command.completed").body["status"] == "AcceptedCanceled"
    tell(charger, "FirmwareStatusNotification", status="DownloadFailed", requestId=7)
    assert Command.objects.get(pk=former.pk).completed_at == cancelled.completed_at
    assert statuses(former) == ["AcceptedCanceled", "DownloadFailed"]


def test_an_image_is_published_with_its_checksum(api, charger):
    answer = post(api, f"firmware/{a_firmware(api)}/publish/")
    assert answer.status_code == 202
    command = Command.objects.get()
    assert command.action == "PublishFirmware"
    assert command.payload["checksum"] == md5(b"image", usedforsecurity=False).hexdigest()


def test_an_image_cannot_be_published_by_a_charger_of_ocpp_1_6(api):
    a_charger("505", ocpp_version="ocpp1.6")
    answer = post(api, f"firmware/{a_firmware(api)}/publish/")
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["action"])


def a_publication(charger, **columns):
    return an_update(charger, "PublishFirmware", PUBLISH | {"requestId": columns.get("request_id", 7)}, **columns)


def publication(charger, status, **members):
    tell(charger, "PublishFirmwareStatusNotification", status=status, **members)
    return PublishedFirmware.objects.filter(charger=charger).values_list("checksum", "status", "locations")


def test_a_publication_is_visible_from_its_acceptance_on(charger):
    a_publication(charger)
    assert PublishedFirmware.objects.get().status == ""
    urls = ["http://10.0.0.2/1.bin"]
    assert list(publication(charger, "Published", requestId=7, location=urls)) == [("c", "Published", urls)]
    assert list(publication(charger, "Idle")) == [("", "Idle", []), ("c", "Published", urls)]
    assert list(publication(charger, "Downloading", requestId=99)) == [
        ("", "Downloading", []),
        ("c", "Published", urls),
    ]
    assert list(publication(charger, "Published")) == [("", "Published", []), ("c", "Published", urls)]
    assert list(publication(charger, "Idle")) == [("", "Published", []), ("c", "Published", urls)]


def test_a_charger_that_is_idle_publishes_nothing_that_was_under_way(charger):
    a_publication(charger)
    publication(charger, "Downloading", requestId=7)
    assert list(publication(charger, "Idle")) == [("c", "Idle", [])]


def test_a_status_before_the_answer_is_kept_and_an_older_one_is_not(charger):
    publication(charger, "Downloading")
    PublishedFirmware.objects.update(checksum="c")
    command = a_command(charger, "PublishFirmware", PUBLISH, state="sent", sent_at=datetime.now(UTC), request_id=7)
    publication(charger, "Downloaded", requestId=7)
    _finish(command, "answered", response={"status": "Accepted"})
    assert PublishedFirmware.objects.get().status == "Downloaded"
    a_publication(charger, request_id=8)
    row = PublishedFirmware.objects.get()
    assert (row.status, row.request_id) == ("", 8)


def test_published_firmware_is_listed_by_charger_and_status(api, charger):
    a_publication(charger)
    path = "/api/ocpp/published-firmware/"
    (row,) = api.get(f"{path}?charger_id=505").json()["results"]
    assert (row["checksum"], row["location"], row["request_id"]) == ("c", "ftp://host/1.bin", 7)
    assert api.get(f"{path}?status=Published").json()["results"] == []
    assert api.get(f"{path}?colour=red").status_code == 400
