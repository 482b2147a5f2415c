"""Uploads of diagnostics and downloads of firmware by chargers."""

from datetime import UTC, datetime, timedelta

import pytest
from asgiref.sync import async_to_sync
from django.core.files.uploadedfile import SimpleUploadedFile

from commands.models import Command, Firmware, Upload
from tests.support.builders import a_charger

pytestmark = pytest.mark.django_db(transaction=True)
BASE = "http://charging.example"


@pytest.fixture(autouse=True)
def public_url(settings, tmp_path):
    settings.PUBLIC_URL, settings.MEDIA_ROOT = BASE, tmp_path / "files"


def ask(api, action, payload, charger=None):
    body = {"charger_id": (charger or a_charger()).identity, "action": action, "payload": payload}
    return api.post("/api/ocpp/commands/", body, "application/json")


def a_place(api, action="GetDiagnostics", payload=None):
    """Return the path of the URL to which a charger must upload."""
    task = ask(api, action, payload or {}).json()
    asked = Command.objects.get(task_id=task["task_id"]).payload.opened()
    return (asked.get("location") or asked["log"]["remoteLocation"]).removeprefix(BASE)


def body(response):
    """Return the streamed content, which the test client's threads read by a coroutine."""

    async def whole():
        return b"".join([piece async for piece in response.streaming_content])

    return async_to_sync(whole)()


def put(client, path, content=b"log", **more):
    return client.put(path, content, "application/octet-stream", **more)


@pytest.mark.parametrize(("action", "payload"), [("GetDiagnostics", {}), ("GetLog", {"logType": "SecurityLog"})])
def test_a_charger_uploads_diagnostics_and_operators_download_them(api, client, action, payload):
    path = a_place(api, action, payload)
    client.logout()
    assert put(client, f"{path}log.txt", b"<script>").status_code == 201


def test_an_upload_is_served_as_an_attachment(api):
    assert put(api, f"{a_place(api)}log.html", b"<script>").status_code == 201
    (shown,) = api.get("/api/ocpp/uploads/").json()["results"]
    assert (shown["filename"], shown["size"], shown["action"]) == ("log.html", 8, "GetDiagnostics")
    file = api.get(shown["file_url"])
    assert body(file) == b"<script>"
    assert file["Content-Type"] == "application/octet-stream"
    assert "attachment" in file["Content-Disposition"]
    assert file["X-Content-Type-Options"] == "nosniff"


def test_a_form_upload_replaces_the_former_one(api):
    path = a_place(api)
    put(api, path, b"first")
    assert api.post(path, {"file": SimpleUploadedFile("../../x.log", b"second")}).status_code == 201
    upload = Upload.objects.get()
    assert (upload.filename, upload.file.read()) == ("x.log", b"second")


def test_a_body_may_have_its_file_name_in_a_header(api):
    path = a_place(api, "GetLog", {"logType": "DiagnosticsLog"})
    named = {"Content-Disposition": 'form-data; name="uploadfile"; filename="../log_2026.zip"'}
    assert api.post(path, b"zip", "application/octet-stream", headers=named).status_code == 201
    assert Upload.objects.get().filename == "log_2026.zip"


@pytest.mark.parametrize("name", ["..%2f..%2fetc", "%2e%2e", ".hidden", "a b;c.log", "%00", "x" * 300])
def test_a_file_name_cannot_leave_its_folder(api, name, tmp_path):
    assert put(api, a_place(api) + name).status_code == 201
    (file,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert file.parent == tmp_path / "files" / "uploads" / str(Upload.objects.get().pk)
    assert not file.name.startswith(".")
    assert len(file.name) <= 100


@pytest.mark.parametrize("wrong", ["tok1", "", "..", "x" * 200])
def test_an_upload_url_with_an_unknown_token_is_refused(api, wrong):
    answer = ask(api, "GetDiagnostics", {"location": f"{BASE}/files/uploads/{wrong}/"})
    assert answer.status_code == 400
    assert "location" in answer.json()["fields"]


def test_an_upload_url_belongs_to_one_command(api):
    charger, location = a_charger(), BASE + a_place(api)
    assert ask(api, "GetDiagnostics", {"location": location}, charger).status_code == 400


def test_a_failed_upload_keeps_the_former_one(api):
    path = a_place(api)
    put(api, path, b"whole")
    assert put(api, path, b"").status_code == 400
    assert api.post(path, {"note": "no file"}).status_code == 400
    assert Upload.objects.get().file.read() == b"whole"


def test_a_body_of_any_type_is_stored_unchanged(api):
    path = a_place(api)
    assert api.post(path, "a=b", "application/x-www-form-urlencoded").status_code == 201
    assert Upload.objects.get().file.read() == b"a=b"


def test_an_unknown_or_expired_upload_url_is_refused(api):
    path = a_place(api)
    Upload.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    for wrong in (path, "/files/uploads/guessed/", "/files/firmware/guessed/x"):
        assert put(api, wrong).status_code in (404, 405)
    assert not Upload.objects.get().file


def test_a_foreign_location_creates_no_upload(api):
    ask(api, "GetDiagnostics", {"location": "ftp://logs.example/"})
    assert not Upload.objects.exists()


def test_without_a_public_url_a_location_is_required(api, settings):
    settings.PUBLIC_URL = ""
    answer = ask(api, "GetDiagnostics", {})
    assert answer.status_code == 400
    assert "PUBLIC_URL" in str(answer.json()["fields"]["location"])


def a_firmware(api, **more):
    form = {"description": "2.0", "file": SimpleUploadedFile("fw.bin", b"image"), **more}
    return api.post("/api/ocpp/firmware/", form)


def install(api, number, **body):
    return api.post(f"/api/ocpp/firmware/{number}/install/", {"charger_id": "505", **body}, "application/json")


def test_a_charger_fetches_firmware_by_a_url_that_expires(api, settings, client):
    a_charger("505")
    made = a_firmware(api).json()
    assert (made["filename"], made["size"]) == ("fw.bin", 5)
    assert install(api, made["id"]).status_code == 202
    command = Command.objects.get()
    path = command.payload.opened()["location"].removeprefix(BASE)
    assert command.action == "UpdateFirmware"
    client.logout()
    assert body(client.get(path)) == b"image"
    assert client.get(path.replace("fw.bin", "x").replace("/firmware/", "/firmware/x")).status_code == 404
    settings.OCPP_FILE_URL_LIFETIME = -1
    from commands.services.files import firmware_url

    assert client.get(firmware_url(Firmware.objects.get(), 0).removeprefix(BASE)).status_code == 404


def test_signed_firmware_is_sent_with_its_signature(api):
    a_charger("505")
    signature = {"signing_certificate": "PEM", "signature": "c2ln"}
    install(api, a_firmware(api, **signature).json()["id"], retrieve_date="2036-01-01T00:00:00Z")
    command = Command.objects.get()
    assert command.action == "SignedUpdateFirmware"
    assert command.request_id == command.payload["requestId"]
    sent = command.payload["firmware"]
    assert (sent["signature"], sent["retrieveDateTime"]) == ("c2ln", "2036-01-01T00:00:00.000Z")


def test_firmware_is_installed_at_a_set_time_and_fetched_with_retries(api):
    a_charger("505")
    made = a_firmware(api).json()["id"]
    attempts = {"retries": 3, "retry_interval": 60}
    install(api, made, **attempts)
    assert Command.objects.get().payload.items() >= {"retries": 3, "retryInterval": 60}.items()
    later = {"install_date": "2036-01-01T00:00:00Z"}
    assert list(install(api, made, **later).json()["fields"]) == ["install_date"]
    signed = a_firmware(api, description="2.1", signing_certificate="PEM", signature="c2ln").json()["id"]
    assert install(api, signed, **later, **attempts).status_code == 202
    assert Command.objects.first().payload["firmware"]["installDateTime"] == "2036-01-01T00:00:00.000Z"


def test_unsigned_firmware_is_refused_for_a_signed_update(api):
    a_charger("505")
    answer = install(api, a_firmware(api).json()["id"], signed=True)
    assert answer.status_code == 400
    assert "signed" in answer.json()["fields"]


@pytest.mark.parametrize(
    ("method", "path"), [("put", "firmware/x/y"), ("get", "uploads/x/"), ("delete", "uploads/x")]
)
def test_a_wrong_method_is_answered_405_in_json(client, method, path):
    answer = getattr(client, method)(f"/files/{path}")
    assert answer.status_code == 405
    assert set(answer.json()) == {"error"}
    assert answer["Allow"]


def test_a_missing_image_does_not_break_the_list(api, tmp_path):
    a_charger("505")
    number = a_firmware(api, file=SimpleUploadedFile("ürm wäre.bin", b"image")).json()["id"]
    assert install(api, number).status_code == 202
    for file in (tmp_path / "files" / "firmware").iterdir():
        file.unlink()
    assert api.get("/api/ocpp/firmware/").json()["results"][0]["size"] is None
    assert install(api, number).status_code == 409
    path = Command.objects.get().payload.opened()["location"].removeprefix(BASE)
    assert api.get(path).status_code == 404


def test_an_image_is_deleted_with_its_row(api, tmp_path):
    number = a_firmware(api).json()["id"]
    assert api.delete(f"/api/ocpp/firmware/{number}/").status_code == 204
    assert list((tmp_path / "files" / "firmware").iterdir()) == []
