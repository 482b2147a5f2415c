"""Pages of firmware images: the list, upload, change, deletion, and the way there from the form of campaigns."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from rest_framework.validators import UniqueValidator

from chargers.models import AuditEntry
from commands.models import Campaign, Command, Firmware
from commands.services import confirmation
from tests.support.browser import EXECUTABLE, NARROW, NONE, a_page, check, playwright
from tests.support.builders import a_charger
from tests.support.campaigns import an_online
from tests.support.dashboard import HTML, a_user
from tests.support.live import an_id

NEW = "/firmware/new/"


def text_of(answer):
    return answer.content.decode()


def upload(client, content=b"image", path=NEW, **form):
    file = SimpleUploadedFile("fw-3.0.bin", content)
    return client.post(path, {"description": "Three", "version": "3.0", "file": file} | form, **HTML)


@pytest.mark.django_db
def test_an_image_is_uploaded_listed_and_changed(api, public_url):
    assert "No images yet" in text_of(api.get("/firmware/"))
    form = text_of(api.get(NEW))
    assert 'enctype="multipart/form-data"' in form and 'type="file"' in form
    signed = {"signing_certificate": "-----BEGIN CERTIFICATE-----\r\nx", "signature": "c2ln"}
    assert upload(api, **signed).headers["Location"] == "/firmware/"
    image = Firmware.objects.get()
    assert (image.version, image.filename, image.file.read()) == ("3.0", "fw-3.0.bin", b"image")
    assert image.signing_certificate == "-----BEGIN CERTIFICATE-----\nx"
    shown = text_of(api.get("/firmware/"))
    assert all(text in shown for text in ("Three", "3.0", "fw-3.0.bin", "5\xa0bytes", "Signed"))
    path = f"/firmware/{image.pk}/"
    assert "c2ln" in text_of(api.get(path)) and 'type="file"' not in text_of(api.get(path))
    api.post(path, {"description": "Three", "version": "3.0.1", **signed})
    image.refresh_from_db()
    assert (image.version, image.filename) == ("3.0.1", "fw-3.0.bin")
    entries = AuditEntry.objects.filter(kind="firmware").order_by("pk").values_list("action", "who", "name")
    assert list(entries) == [("created", "alice", "Three"), ("changed", "alice", "Three")]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("wrong", "message", "in_german"),
    [
        ({"file": SimpleUploadedFile("x", b"")}, "The submitted file is empty.", "Die übermittelte Datei ist leer."),
        ({"file": ""}, "No file was submitted.", "Es wurde keine Datei übermittelt."),
        ({"description": "Two"}, "There is an image of this name.", "Es gibt ein Abbild mit diesem Namen."),
        ({"description": ""}, "This field may not be blank.", "Dieses Feld darf nicht leer sein."),
        (
            {"signature": "c2ln"},
            "A signed image needs both the signature and the signing certificate.",
            "Ein signiertes Abbild braucht die Signatur und das Signaturzertifikat.",
        ),
    ],
)
def test_a_wrong_upload_says_why(api, public_url, wrong, message, in_german):
    Firmware.objects.create(description="Two", file="firmware/x")
    answer = upload(api, **wrong)
    assert answer.status_code == 400
    assert message in text_of(answer)
    if hasattr(wrong.get("file"), "seek"):
        wrong["file"].seek(0)
    file = SimpleUploadedFile("fw-3.0.bin", b"image")
    form = {"description": "Three", "file": file} | wrong
    assert in_german in text_of(api.post(NEW, form, headers={"Accept-Language": "de"}))
    assert Firmware.objects.count() == 1


@pytest.mark.django_db
def test_the_file_of_an_image_is_not_replaced(api, image):
    path, file = f"/api/ocpp/firmware/{image.pk}/", SimpleUploadedFile("other.bin", b"other")
    for method in (api.put, api.patch):
        body = encode_multipart(BOUNDARY, {"description": "Renamed", "file": file})
        answer = method(path, body, MULTIPART_CONTENT)
        assert (answer.status_code, list(answer.json()["fields"])) == (400, ["file"])
    assert api.patch(path, encode_multipart(BOUNDARY, {"version": "9"}), MULTIPART_CONTENT).status_code == 200
    in_admin = f"/admin/commands/firmware/{image.pk}/change/"
    assert 'type="file"' in text_of(api.get("/admin/commands/firmware/add/"))
    assert 'type="file"' not in text_of(api.get(in_admin))
    api.post(in_admin, {"description": "Renamed", "file": file})
    image.refresh_from_db()
    assert (image.description, image.version, image.filename) == ("Renamed", "", "fw-2.0.bin")


@pytest.mark.django_db(transaction=True)
def test_of_two_uploads_of_one_name_at_once_one_leaves_nothing(api, public_url, monkeypatch):
    """The second one has checked its name before the first one is stored."""
    monkeypatch.setattr(UniqueValidator, "__call__", lambda *arguments: None)
    assert upload(api).status_code == 302
    refused = upload(api)
    assert (refused.status_code, "There is an image of this name." in text_of(refused)) == (400, True)
    form = {"description": "Three", "file": SimpleUploadedFile("fw-3.0.bin", b"image")}
    assert api.post("/api/ocpp/firmware/", form).json()["fields"] == {
        "description": ["There is an image of this name."]
    }
    assert default_storage.listdir("firmware")[1] == [Firmware.objects.get().filename]


@pytest.mark.django_db
def test_an_image_is_deleted(api, image):
    shown = text_of(api.post(f"/firmware/{image.pk}/delete/", follow=True))
    assert "Deleted." in shown and "No images yet" in shown
    assert AuditEntry.objects.filter(kind="firmware", action="deleted", who="alice").exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("language", ["en", "de"])
def test_an_image_that_a_campaign_needs_is_not_deleted(api, image, language):
    Campaign.objects.create(name="June", firmware=image, chosen={"filter": {}}, requested_by="alice")
    answer = api.post(f"/firmware/{image.pk}/delete/", follow=True, headers={"Accept-Language": language})
    wanted = {
        "en": "This image can&#x27;t be deleted, because it has campaigns.",
        "de": "Dieses Abbild kann nicht gelöscht werden, weil es Kampagnen hat.",
    }
    assert wanted[language] in text_of(answer)
    assert Firmware.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("version", "state"), [("ocpp1.6", "queued"), ("ocpp2.0.1", "finished")])
@pytest.mark.parametrize("by_rest", [False, True])
def test_an_image_that_a_command_needs_is_not_deleted(api, image, version, state, by_rest):
    charger = a_charger("505", ocpp_version=version)
    install = f"/api/ocpp/firmware/{image.pk}/install/"
    assert api.post(install, {"charger_id": charger.identity}, "application/json").status_code == 202
    other = Firmware.objects.create(description="Other", file="firmware/other")
    if state == "finished":
        Command.objects.update(state="finished", outcome="answered", confirmation=confirmation.PENDING)
    message = "This image can't be deleted yet, because a command to 505 needs it."
    if by_rest:
        answer = api.delete(f"/api/ocpp/firmware/{image.pk}/")
        assert (answer.status_code, answer.json()["error"]) == (409, message)
    else:
        answer = api.post(f"/firmware/{image.pk}/delete/", follow=True)
        assert message in text_of(answer).replace("&#x27;", "'")
    assert "Deleted." in text_of(api.post(f"/firmware/{other.pk}/delete/", follow=True))
    Command.objects.update(state="finished", confirmation="confirmed")
    assert "Deleted." in text_of(api.post(f"/firmware/{image.pk}/delete/", follow=True))


@pytest.mark.django_db(transaction=True)
def test_a_charger_out_of_reach_that_needs_an_image_is_not_named(api, client, image):
    charger = a_charger("OUT-OF-REACH")
    install = f"/api/ocpp/firmware/{image.pk}/install/"
    assert api.post(install, {"charger_id": charger.identity}, "application/json").status_code == 202
    user = a_user(client, "view_firmware", "delete_firmware", group_of=[])
    User.objects.filter(pk=user.pk).update(is_staff=True)
    in_admin = f"/admin/commands/firmware/{image.pk}/delete/"
    answers = [
        client.delete(f"/api/ocpp/firmware/{image.pk}/"),
        client.post(f"/firmware/{image.pk}/delete/", follow=True),
        client.get(in_admin),
    ]
    assert answers[0].json()["error"] == "This image can't be deleted yet, because a command needs it."
    assert "because a command needs it." in text_of(answers[1])
    assert not any("OUT-OF-REACH" in text_of(answer) for answer in answers)
    client.post(in_admin, {"post": "yes"})
    assert Firmware.objects.exists()


@pytest.mark.django_db
def test_the_pages_need_the_permissions_of_the_model(client, image):
    a_user(client, "view_firmware")
    shown = text_of(client.get("/firmware/"))
    assert "Image 2.0" in shown and "Upload an image" not in shown and "<button aria-label" not in shown
    assert f"/firmware/{image.pk}/" not in shown
    for path in (NEW, f"/firmware/{image.pk}/"):
        assert client.get(path, **HTML).status_code == 403
        assert upload(client, path=path).status_code == 403
    assert client.post(f"/firmware/{image.pk}/delete/", **HTML).status_code == 403


@pytest.mark.django_db
def test_the_list_needs_its_permission(client):
    a_user(client, "view_command", "add_command")
    assert client.get("/firmware/", **HTML).status_code == 403
    assert "/firmware/" not in text_of(client.get("/campaigns/"))
    assert "Upload an image" not in text_of(client.get("/campaigns/new/"))


@pytest.mark.django_db(transaction=True)
def test_the_form_of_a_campaign_is_kept_while_an_image_is_uploaded(api, public_url):
    an_online("A")
    form = {"csrfmiddlewaretoken": "x", "name": "June", "of_kind": '["V", "M"]', "canaries": "2", "day3": "on"}
    there = api.post("/campaigns/new/", form | {"upload": "1"}).headers["Location"]
    assert there.startswith(NEW)
    assert "csrfmiddlewaretoken" not in there
    assert 'href="/campaigns/new/' in text_of(api.get(there))
    assert upload(api, b"", path=there).status_code == 400  # and the way back stays
    back = upload(api, path=there).headers["Location"]
    image = Firmware.objects.get()
    assert parse_qs(urlsplit(back).query)["firmware"] == [str(image.pk)]
    shown = text_of(api.get(back))
    assert re.search(rf'<option value="{image.pk}" selected>', shown)
    assert 'value="June"' in shown and 'name="canaries" inputmode="numeric" value="2"' in shown
    assert re.findall(r'name="(day\d)" checked', shown) == ["day3"]
    assert '<option value="[&quot;V&quot;, &quot;M&quot;]" selected>' in shown


@pytest.mark.django_db
def test_a_form_that_is_too_long_for_a_path_stays_with_a_message(api, public_url):
    listed = "\n".join(f"CP-{number:05}" for number in range(2000))
    form = {"csrfmiddlewaretoken": "x", "chargers_listed": listed, "upload": "1"}
    answer = api.post("/campaigns/new/", form, headers={"Accept-Language": "de"})
    assert answer.status_code == 400
    assert "Dieses Formular ist zu lang, um behalten zu werden." in text_of(answer)
    assert "CP-01999" in text_of(answer)


@pytest.mark.django_db
def test_an_upload_leads_to_no_other_server(api, public_url):
    there = f"{NEW}?next=https://evil.example/"
    assert 'href="https://evil' not in text_of(api.get(there))
    assert upload(api, path=there).headers["Location"] == "/firmware/"


@pytest.mark.skipif(EXECUTABLE is None, reason=NONE)
def test_an_image_is_uploaded_for_a_campaign_on_a_phone(browser, live):
    name = an_id()
    with a_page(browser, live, viewport=NARROW) as page:
        page.goto("/campaigns/new/")
        page.get_by_label("Stop after failures").fill("9")
        page.get_by_role("button", name="Upload an image").click()
        page.wait_for_url("**/firmware/new/**")
        check(page)
        page.get_by_label("Name").fill(name)
        page.get_by_label("Version").fill("9.1")
        file = page.locator("[type=file]")
        file.set_input_files({"name": "fw-9.1.bin", "mimeType": "application/octet-stream", "buffer": b"image"})
        page.evaluate("document.querySelector('[type=file]').dataset.largest = 4")
        file.dispatch_event("change")
        page.get_by_role("button", name="Save").click()
        assert page.evaluate("document.querySelector('[type=file]').validationMessage").startswith("The file is too")
        page.evaluate("document.querySelector('[type=file]').dataset.largest = 5")
        file.dispatch_event("change")
        page.get_by_role("button", name="Save").click()
        page.wait_for_url("**/campaigns/new/**")
        playwright.expect(page.get_by_label("Stop after failures")).to_have_value("9")
        assert page.locator("[name=firmware] option:checked").inner_text() == f"{name} (9.1)"
        check(page, "/firmware/")
        page.on("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name=f"Delete {name}").click()
        playwright.expect(page.locator("body")).to_contain_text("Deleted.")
        playwright.expect(page.get_by_text("fw-9.1.bin")).to_have_count(0)


@pytest.mark.django_db(transaction=True)
def test_the_admin_does_not_delete_an_image_that_a_command_needs(api, image):
    charger = a_charger("505")
    api.post(f"/api/ocpp/firmware/{image.pk}/install/", {"charger_id": charger.identity}, "application/json")
    path = f"/admin/commands/firmware/{image.pk}/delete/"
    assert "UpdateFirmware to 505" in text_of(api.get(path))
    api.post(path, {"post": "yes"})
    assert Firmware.objects.exists()
