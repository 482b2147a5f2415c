"""Id tags on the pages and as CSV: changed, imported and exported, and unknown ones accepted."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from chargers.models import AuditEntry, ChargerGroup
from tests.support.builders import a_charger, a_tag, a_transaction, tell
from tests.support.dashboard import HTML, a_user, page_of
from transactions.models import IdTag, UnknownIdTag

pytestmark = pytest.mark.django_db
EXPORT, IMPORT = "/api/ocpp/id-tags/export.csv", "/api/ocpp/id-tags/import/"


def imported(api, text, query=""):
    return api.post(f"{IMPORT}{query}", text.encode(), "text/csv")


def text_of(answer):
    return answer.content.decode()


def test_a_tag_is_added_changed_blocked_and_deleted(api):
    group = ChargerGroup.objects.create(name="Harbour")
    charger = a_charger()
    form = {"id_tag": "ABC", "status": "Accepted", "groups": "Harbour", "chargers": f"{charger.identity}\r\n"}
    assert api.post("/tags/new/", form).headers["Location"] == "/tags/"
    tag = IdTag.objects.get()
    assert (list(tag.groups.all()), list(tag.chargers.all())) == ([group], [charger])
    assert "ABC" in text_of(api.get("/tags/?search=abc"))
    assert "ABC" not in text_of(api.get("/tags/?search=xyz"))
    page = text_of(api.get(f"/tags/{tag.pk}/"))
    assert charger.identity in page and "checked> Harbour" in page
    changed = form | {"description": "Forklift", "groups": [], "expiry_date": "2036-01-31T18:00"}
    api.post(f"/tags/{tag.pk}/", changed)
    tag.refresh_from_db()
    assert (tag.description, tag.expiry_date.year, tag.groups.count()) == ("Forklift", 2036, 0)
    api.post(f"/tags/{tag.pk}/status/", {"status": "Blocked"})
    tag.refresh_from_db()
    assert tag.status == "Blocked"
    assert AuditEntry.objects.filter(kind="id tag", action="changed", after={"status": "Blocked"}).exists()
    api.post(f"/tags/{tag.pk}/delete/")
    assert not IdTag.objects.exists()


def test_the_form_has_the_errors_of_rest(api):
    a_tag("ABC")
    page = api.post("/tags/new/", {"id_tag": "abc", "status": "Accepted"})
    assert page.status_code == 400
    assert "exists already" in text_of(page)
    assert "Only printable" in text_of(api.post("/tags/new/", {"id_tag": "ä", "status": "Accepted"}))


def test_an_unchanged_field_is_not_sent(api):
    """A time that a browser shows without its zone, or a change by another user, stays."""
    tag = a_tag("ABC", expiry_date="2036-10-26T00:30:00.5Z", description="one")
    page = text_of(api.get(f"/tags/{tag.pk}/"))
    assert "2036-10-26T00:30:00" in page
    IdTag.objects.update(description="two")
    form = {"id_tag": "ABC", "status": "Accepted", "expiry_date": "2036-10-26T00:30", "description": "two"}
    api.post(f"/tags/{tag.pk}/", form | {"message": "Hello"})
    tag.refresh_from_db()
    assert (tag.description, tag.expiry_date.microsecond, tag.message) == ("two", 500_000, "Hello")


def test_a_pin_is_not_shown_found_or_exported(api):
    tag = a_tag("987654", type="KeyCode", description="Door")
    pages = [text_of(api.get(path)) for path in ("/tags/", f"/tags/{tag.pk}/", "/tokens.json?search=98", EXPORT)]
    assert not any("987654" in page for page in pages)
    assert "Door" in pages[0]
    assert "Door" not in text_of(api.get("/tags/?search=9876"))
    api.post(f"/tags/{tag.pk}/", {"type": "KeyCode", "status": "Accepted", "description": "Gate"})
    tag.refresh_from_db()
    assert (tag.id_tag, tag.description) == ("987654", "Gate")


def test_the_pages_of_tags_need_permissions(client):
    tag = a_tag("ABC")
    a_user(client, "view_idtag")
    assert "ABC" in text_of(client.get("/tags/"))
    refused = ["/tags/new/", f"/tags/{tag.pk}/", "/tags/import/"]
    assert [client.get(path, **HTML).status_code for path in refused] == [403] * 3
    posted = [f"/tags/{tag.pk}/status/", f"/tags/{tag.pk}/delete/", "/tags/import/"]
    assert [client.post(path, **HTML).status_code for path in posted] == [403] * 3
    assert imported(client, "id_tag\nX").status_code == 403


# --- CSV -------------------------------------------------------------------------------------


def test_an_export_is_imported_without_a_change(api):
    charger = a_charger('a;b, "c"')
    tag = a_tag("=1+1", parent_id_tag="'G", expiry_date="2036-01-31T18:00:00Z", concurrent_limit=2, description="'=x")
    tag.chargers.set([charger, a_charger()])
    tag.groups.add(ChargerGroup.objects.create(name="Harbour"))
    a_tag("plain", type="ISO14443")
    file = text_of(api.get(EXPORT))
    assert "'=1+1" in file
    assert imported(api, file).json() == {"created": 0, "changed": 0, "unchanged": 2, "dry_run": False}
    IdTag.objects.all().delete()
    assert imported(api, file).json()["created"] == 2
    assert text_of(api.get(EXPORT)) == file


def test_an_import_changes_what_its_columns_name(api):
    a_tag("ABC", description="one", parent_id_tag="G")
    answer = imported(api, "\ufeffid_tag;description\r\nabc;two\r\nNEW;\r\n")
    assert answer.json() == {"created": 1, "changed": 1, "unchanged": 0, "dry_run": False}
    tag = IdTag.objects.get(id_tag__iexact="ABC")
    assert (tag.description, tag.parent_id_tag) == ("two", "G")
    assert AuditEntry.objects.filter(kind="id tag", action="created", name="NEW").exists()


def test_nothing_is_stored_if_a_line_is_wrong(api):
    answer = imported(api, "id_tag,type,status,chargers\nA,,,\nB,Nonsense,,\nC,,,nobody\na,,,\nD,,,,extra\n")
    assert answer.status_code == 400
    assert set(answer.json()["fields"]) == {"line 3.type", "line 4.chargers", "line 5.id_tag", "line 6"}
    assert not IdTag.objects.exists()


@pytest.mark.parametrize(
    "text", ["", "id_tag,nonsense\nA,B", "type\nLocal", "id_tag,id_tag\nA,A", 'id_tag\n"A\n', "id_tag\n\0"]
)
def test_an_unusable_file_is_refused(api, text):
    answer = imported(api, text)
    assert answer.status_code in (200, 400)  # an open quote is read to the end of the file
    assert answer.status_code == 400 or '"' in text
    assert not IdTag.objects.exclude(id_tag="A").exists() or '"' in text


def test_a_dry_run_stores_nothing(api):
    assert imported(api, "id_tag\nA", "?dry_run=true").json()["created"] == 1
    assert not IdTag.objects.exists()
    assert imported(api, "id_tag\nA", "?nonsense=1").status_code == 400


def test_a_file_is_checked_with_a_fixed_number_of_queries(api, django_assert_max_num_queries):
    charger = a_charger()
    text = "id_tag,chargers\n" + "".join(f"T{n},{charger.identity}\n" for n in range(300))
    with django_assert_max_num_queries(12):
        assert imported(api, text, "?dry_run=true").json()["created"] == 300


def test_chargers_out_of_reach_are_neither_named_nor_removed(client):
    mine, other = a_charger(), a_charger()
    tag = a_tag("ABC")
    tag.chargers.set([mine, other])
    a_user(client, "view_idtag", "add_idtag", "change_idtag", group_of=[mine])
    file = text_of(client.get(EXPORT))
    assert mine.identity in file and other.identity not in file
    assert imported(client, f"id_tag,chargers\nABC,{other.identity}").status_code == 400
    assert imported(client, "id_tag,chargers\nABC,").json()["changed"] == 1
    assert list(tag.chargers.all()) == [other]


def test_a_file_is_previewed_and_then_imported(api):
    def sent(text):
        return api.post("/tags/import/", {"file": SimpleUploadedFile("tags.csv", text.encode())})

    wrong = sent("id_tag,status\nA,Accepted\nB,Nonsense\n")
    assert wrong.status_code == 400
    assert "Nonsense" in text_of(wrong) and 'name="confirmed"' not in text_of(wrong)
    page = sent("id_tag,type\nA,\n1234,KeyCode\n")
    assert "New: 2" in text_of(page)
    assert "<td>1234" not in text_of(page)
    assert not IdTag.objects.exists()
    assert api.post("/tags/import/", {"text": page.context["text"], "confirmed": "1"}).status_code == 302
    assert IdTag.objects.count() == 2


# --- unknown tags ----------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_an_unknown_tag_is_accepted_where_it_was_seen(api):
    session = a_transaction(idTag="NEW-1")
    tell(session.charger, "Authorize", idTag="NEW-2")
    first, second = UnknownIdTag.objects.order_by("id_tag")
    for path in ("/tags/", page_of(session.charger), f"/transactions/{session.pk}/"):
        assert f'action="/tags/unknown/{first.pk}/accept/"' in text_of(api.get(path))
    assert f"/tags/unknown/{second.pk}/" not in text_of(api.get(f"/transactions/{session.pk}/"))
    form = {"next": f"/transactions/{session.pk}/", "group": "Fleet", "description": "Van 7"}
    assert api.post(f"/tags/unknown/{first.pk}/accept/", form).headers["Location"] == form["next"]
    tag = IdTag.objects.get()
    assert (tag.id_tag, tag.parent_id_tag, tag.description) == ("NEW-1", "Fleet", "Van 7")
    assert api.post(f"/tags/unknown/{second.pk}/accept/", {"next": "//evil"}).headers["Location"] == "/tags/"
    assert not UnknownIdTag.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_unknown_tags_of_other_chargers_are_not_found(client):
    mine, other = a_charger(), a_charger()
    tell(other, "Authorize", idTag="NEW")
    unknown = UnknownIdTag.objects.get()
    a_user(client, "view_idtag", "view_unknownidtag", "add_idtag", "delete_unknownidtag", group_of=[mine])
    assert "NEW" not in text_of(client.get("/tags/"))
    posted = [f"/tags/unknown/{unknown.pk}/{verb}/" for verb in ("accept", "delete")]
    assert [client.post(path, **HTML).status_code for path in posted] == [404] * 2


def test_the_export_of_the_page_has_its_filters(api):
    a_tag("ABC")
    a_tag("XYZ")
    answer = api.get("/tags/export.csv?search=abc")
    assert "XYZ" not in text_of(answer) and "ABC" in text_of(answer)
