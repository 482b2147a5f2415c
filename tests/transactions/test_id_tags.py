"""Authorisation of tags: unknown tags, limits, groups (OCPP 1.6 §3.10, §4.1, §4.8)."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from chargers.models import ChargerGroup
from tests.support.builders import NOON, a_call, a_charger, a_start, a_tag, a_transaction, tell
from tests.support.live import eventually
from transactions.models import IdTag, UnknownIdTag
from transactions.services import authorizations
from transactions.services.authorizations import Authorization
from transactions.services.id_tokens import Presented, authorize

pytestmark = pytest.mark.django_db(transaction=True)  # unknown tags are listed after the commit


def start(charger, **members):
    return tell(charger, "StartTransaction", **a_start(charger, **members))


def stop(transaction, **more):
    body = {"transactionId": transaction.pk, "meterStop": 2000, "timestamp": NOON, **more}
    return tell(transaction.charger, "StopTransaction", **body)


# --- unknown tags ------------------------------------------------------------------------------------


def test_an_unknown_tag_is_listed_once_in_any_case():
    charger = a_charger()
    for tag in ("VID:abc", "vid:ABC", "#FreeCharging"):
        tell(charger, "Authorize", idTag=tag)
    listed = {tag.id_tag: tag.presented for tag in UnknownIdTag.objects.all()}
    assert listed == {"VID:abc": 2, "#FreeCharging": 1}


def test_a_known_tag_is_not_listed():
    a_tag("KNOWN", status="Blocked")
    tell(a_charger(), "Authorize", idTag="known")
    assert not UnknownIdTag.objects.exists()


def test_a_created_tag_is_removed_from_the_unknown_ones():
    tell(a_charger(), "Authorize", idTag="abc")
    a_tag("ABC")
    assert not UnknownIdTag.objects.exists()


def test_an_unknown_tag_is_accepted_over_rest(api):
    start(a_charger())
    (row,) = api.get("/api/ocpp/unknown-id-tags/?id_tag=ABC").json()["results"]
    made = api.post(f"/api/ocpp/unknown-id-tags/{row['id']}/accept/")
    assert (made.status_code, made.json()["status"]) == (201, "Accepted")
    assert not UnknownIdTag.objects.exists()
    assert IdTag.objects.get().id_tag == "ABC"
    assert api.post(f"/api/ocpp/unknown-id-tags/{row['id']}/accept/").status_code == 404


# --- limits ------------------------------------------------------------------------------------------


def test_a_tag_without_a_limit_may_have_many_transactions():
    a_tag()
    assert {start(a_charger())["idTagInfo"]["status"] for _ in range(3)} == {"Accepted"}


def test_a_start_beyond_the_limit_is_answered_concurrent_tx_and_stored():
    a_tag(concurrent_limit=1)
    first, second = a_transaction(), start(a_charger(), idTag="abc")
    assert second["idTagInfo"]["status"] == "ConcurrentTx"
    assert second["transactionId"] > 0
    stop(first)
    assert start(a_charger())["idTagInfo"]["status"] == "Accepted"


def test_a_repeated_start_does_not_count_itself():
    a_tag(concurrent_limit=1)
    charger = a_charger()
    assert [start(charger)["idTagInfo"]["status"] for _ in range(2)] == ["Accepted", "Accepted"]


def test_a_repeated_start_keeps_its_status_while_the_tag_charges_elsewhere():
    a_tag(concurrent_limit=1)
    first = a_transaction()
    stop(first)
    a_transaction(a_charger())
    again = start(first.charger)
    assert (again["transactionId"], again["idTagInfo"]["status"]) == (first.pk, "Accepted")


def test_a_refused_start_stays_refused_when_repeated():
    a_tag(concurrent_limit=1)
    first, refused = a_transaction(), a_charger()
    assert start(refused)["idTagInfo"]["status"] == "ConcurrentTx"
    stop(first)
    assert start(refused)["idTagInfo"]["status"] == "ConcurrentTx"


def test_a_superseded_transaction_does_not_count_towards_the_limit():
    a_tag(concurrent_limit=1)
    stuck = a_transaction()
    assert start(stuck.charger, timestamp="2025-02-26T13:00:00Z")["idTagInfo"]["status"] == "Accepted"


def test_a_tag_at_its_limit_is_still_authorised():
    a_tag(concurrent_limit=1)
    transaction = a_transaction()
    assert tell(transaction.charger, "Authorize", idTag="ABC")["idTagInfo"]["status"] == "Accepted"


def test_a_limit_of_zero_refuses_every_start():
    a_tag(concurrent_limit=0)
    assert start(a_charger())["idTagInfo"]["status"] == "ConcurrentTx"


# --- decided again -----------------------------------------------------------------------------------


def test_a_tag_blocked_after_its_authorisation_is_blocked_at_the_start():
    tag, charger = a_tag(), a_charger()
    assert tell(charger, "Authorize", idTag="ABC")["idTagInfo"]["status"] == "Accepted"
    IdTag.objects.filter(pk=tag.pk).update(status="Blocked")
    assert start(charger)["idTagInfo"]["status"] == "Blocked"


# --- groups ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("owner", "other", "verdict"),
    [("G", "g", "Accepted"), ("G", "H", "Invalid"), ("", "", "Invalid"), ("G", "", "Invalid")],
)
def test_another_tag_of_the_same_parent_may_stop(owner, other, verdict):
    a_tag(parent_id_tag=owner)
    a_tag("OTHER", parent_id_tag=other)
    transaction = a_transaction()
    assert stop(transaction, idTag="OTHER")["idTagInfo"]["status"] == verdict
    transaction.refresh_from_db()
    assert (transaction.status, transaction.stop_id_tag) == ("Completed", "OTHER")


def test_the_own_tag_may_stop_in_any_case():
    a_tag()
    assert stop(a_transaction(), idTag="abc")["idTagInfo"]["status"] == "Accepted"


def test_a_stop_by_a_blocked_tag_is_answered_blocked():
    a_tag(status="Blocked")
    assert stop(a_transaction(), idTag="ABC")["idTagInfo"]["status"] == "Blocked"


def test_spaces_belong_to_a_tag(api):
    group = api.post("/api/ocpp/id-tags/", {"id_tag": "A ", "parent_id_tag": "G "}, "application/json").json()
    assert (group["id_tag"], group["parent_id_tag"]) == ("A ", "G ")
    place = {"charger_id": a_charger().identity, "connector_id": 1, "expiry_date": NOON}
    tags = {"id_tag": "A ", "parent_id_tag": "G "}
    reserved = api.post("/api/ocpp/reservations/", place | tags, "application/json").json()
    assert (reserved["id_tag"], reserved["parent_id_tag"]) == ("A ", "G ")


# --- types -------------------------------------------------------------------------------------------


def verdict(id_token="ABC", type="", charger=None):
    """The verdict on a token that a charger presents."""
    (only,) = authorize([Presented(a_call(charger or a_charger(), "Authorize"), id_token, type)])
    return only


@pytest.mark.parametrize(
    ("known", "presented", "status"),
    [
        ({"": "Accepted"}, "ISO14443", "Accepted"),
        ({"eMAID": "Accepted"}, "ISO14443", "Invalid"),
        ({"": "Accepted", "eMAID": "Blocked"}, "eMAID", "Blocked"),
        ({"": "Accepted", "eMAID": "Blocked"}, "Central", "Accepted"),
        ({"": "Accepted", "eMAID": "Blocked"}, "", "Accepted"),
        ({"eMAID": "Blocked"}, "", "Blocked"),
        ({"eMAID": "Accepted", "Central": "Accepted"}, "", "Invalid"),
        ({}, "NoAuthorization", "Accepted"),
    ],
)
def test_a_type_is_part_of_the_identity_of_a_token(known, presented, status):
    for type_, stored in known.items():
        a_tag("ABC", type=type_, status=stored)
    assert verdict("abc", presented).status == status


def test_an_unknown_token_is_listed_by_its_type_and_accepted_with_it():
    for type_ in ("eMAID", "eMAID", "Central"):
        verdict("abc", type_)
    verdict("1234", "KeyCode")  # a secret
    verdict("", "NoAuthorization")
    assert {row.type: row.presented for row in UnknownIdTag.objects.all()} == {"eMAID": 2, "Central": 1}
    assert UnknownIdTag.objects.get(type="eMAID").accept().type == "eMAID"
    assert UnknownIdTag.objects.get().type == "Central"
    a_tag("ABC")
    assert not UnknownIdTag.objects.exists()


def test_an_unknown_type_is_not_taken_over():
    verdict("abc", "Palm")
    assert UnknownIdTag.objects.get().accept().type == ""


def test_a_token_counts_for_the_limit_of_its_own_type(api):
    a_tag("ABC", concurrent_limit=1)
    a_tag("ABC", type="eMAID", concurrent_limit=0)
    assert start(a_charger())["idTagInfo"]["status"] == "Accepted"
    assert start(a_charger())["idTagInfo"]["status"] == "ConcurrentTx"


# --- places ------------------------------------------------------------------------------------------


def test_a_token_is_valid_only_at_the_chargers_and_groups_it_is_limited_to():
    here, member, elsewhere = a_charger(), a_charger(), a_charger()
    group = ChargerGroup.objects.create(name="North")
    group.chargers.add(member)
    tag = a_tag()
    tag.chargers.add(here)
    tag.groups.add(group)
    assert [verdict(charger=c).status for c in (here, member)] == ["Accepted", "Accepted"]
    assert verdict(charger=elsewhere).status == "NotAtThisLocation"
    assert tell(elsewhere, "Authorize", idTag="ABC")["idTagInfo"]["status"] == "Invalid"
    tag.groups.clear()
    assert verdict(charger=member).status == "NotAtThisLocation"
    tag.chargers.clear()
    assert verdict(charger=elsewhere).status == "Accepted"


def test_a_key_code_is_invalid_elsewhere():
    a_tag("1234", type="KeyCode").chargers.add(a_charger())
    assert verdict("1234", "KeyCode").status == "Invalid"


def test_a_status_that_ocpp_1_6_does_not_have_is_invalid_there():
    a_tag(status="NoCredit")
    charger = a_charger()
    assert verdict(charger=charger).status == "NoCredit"
    assert tell(charger, "Authorize", idTag="ABC")["idTagInfo"]["status"] == "Invalid"


# --- master pass -------------------------------------------------------------------------------------


def test_a_master_pass_stops_every_transaction_and_starts_none():
    a_tag()
    a_tag("MASTER", master_pass=True, parent_id_tag="PASS")
    transaction = a_transaction()
    assert tell(transaction.charger, "Authorize", idTag="MASTER")["idTagInfo"]["status"] == "Accepted"
    assert stop(transaction, idTag="MASTER")["idTagInfo"]["status"] == "Accepted"
    assert start(a_charger(), idTag="MASTER")["idTagInfo"]["status"] == "Invalid"


# --- over REST ---------------------------------------------------------------------------------------


def post(api, **body):
    return api.post("/api/ocpp/id-tags/", body, "application/json")


def test_a_token_has_a_type_a_group_and_places(api):
    charger = a_charger()
    ChargerGroup.objects.create(name="North")
    body = {"type": "eMAID", "group": "G", "chargers": [charger.identity], "groups": ["North"]}
    made = post(api, id_tag="A", **body, master_pass=True, language="de", message="Hallo").json()
    assert {name: made[name] for name in body} == body
    assert (made["parent_id_tag"], made["master_pass"], made["message"]) == ("G", True, "Hallo")
    assert post(api, id_tag="a", type="Central").status_code == 201
    path = f"/api/ocpp/id-tags/{made['id']}/"
    assert api.patch(path, {"group": "H"}, "application/json").json()["parent_id_tag"] == "H"
    assert [t["type"] for t in api.get("/api/ocpp/id-tags/?group=H").json()["results"]] == ["eMAID"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"id_tag": "A"}, "id_tag"),
        ({"id_tag": "a", "type": "eMAID"}, "id_tag"),
        ({"id_tag": "x" * 256}, "id_tag"),
        ({"id_tag": "\u00e4"}, "id_tag"),
        ({"id_tag": ""}, "id_tag"),
        ({"id_tag": "B", "type": "RFID"}, "type"),
        ({"id_tag": "B", "status": "Fine"}, "status"),
        ({"id_tag": "B", "group": "G", "parent_id_tag": "H"}, "group"),
        ({"id_tag": "B", "master_pass": True}, "parent_id_tag"),
        ({"id_tag": "B", "language": "not a language"}, "language"),
        ({"id_tag": "B", "message": "x" * 513}, "message"),
        ({"id_tag": "B", "chargers": ["GONE"]}, "chargers"),
        ({"id_tag": "B", "groups": ["GONE"]}, "groups"),
    ],
)
def test_an_invalid_token_is_refused_with_the_field(api, body, field):
    a_tag("A")
    a_tag("A", type="eMAID")
    answer = post(api, **body)
    assert (answer.status_code, list(answer.json()["fields"])) == (400, [field])


def test_a_user_sees_and_changes_only_the_chargers_within_reach():
    near, far = a_charger(), a_charger()
    user = User.objects.create_user("bob")
    user.user_permissions.set(Permission.objects.exclude(codename="reach_every_charger"))
    group = ChargerGroup.objects.create(name="North")
    group.chargers.add(near)
    group.users.add(user)
    client = Client()
    client.force_login(user)
    tag = a_tag("A")
    tag.chargers.set([near, far])
    path = f"/api/ocpp/id-tags/{tag.pk}/"
    assert client.get(path).json()["chargers"] == [near.identity]
    assert client.patch(path, {"chargers": [far.identity]}, "application/json").status_code == 400
    assert client.patch(path, {"chargers": []}, "application/json").json()["chargers"] == []
    assert list(tag.chargers.all()) == [far]


# --- PINs --------------------------------------------------------------------------------------------


def test_a_pin_is_shown_neither_over_rest_nor_in_the_admin_nor_in_the_audit_log(api):
    body = {"id_tag": "471147", "type": "KeyCode", "description": "Guests"}
    made = api.post("/api/ocpp/id-tags/", body, "application/json")
    row = made.json()
    path = f"/api/ocpp/id-tags/{row['id']}/"
    assert (made.status_code, row["id_tag"]) == (201, "(hidden)")
    admin = "/admin/transactions/idtag/"
    pages = [path, "/api/ocpp/id-tags/", admin, f"{admin}{row['id']}/change/", f"{admin}{row['id']}/delete/"]
    pages += [f"{admin}{row['id']}/history/", "/tags/", "/api/ocpp/id-tags/export.csv"]
    assert api.patch(path, {"id_tag": "471148"}, "application/json").status_code == 200
    assert api.patch(path, {"status": "Blocked"}, "application/json").status_code == 200
    shown = {page: api.get(page) for page in pages}
    assert {answer.status_code for answer in shown.values()} == {200}
    assert api.delete(path).status_code == 204
    texts = [made, *shown.values(), api.get("/api/ocpp/audit/"), api.get("/admin/chargers/auditentry/")]
    assert not [text.request["PATH_INFO"] for text in texts if b"47114" in text.content]
    entries = api.get("/api/ocpp/audit/?kind=id tag").json()["results"]
    assert [entry["after"] and entry["after"].get("id_tag") for entry in entries] == [None, None, "replaced", "set"]


def test_a_body_with_a_hidden_pin_leaves_it_as_it_is(api):
    tag = a_tag("4711", type="KeyCode")
    path = f"/api/ocpp/id-tags/{tag.pk}/"
    row = api.get(path).json() | {"status": "Blocked"}
    assert api.put(path, row, "application/json").status_code == 200
    tag.refresh_from_db()
    assert (tag.id_tag, tag.status) == ("4711", "Blocked")
    refused = api.post("/api/ocpp/id-tags/", {"id_tag": "(hidden)"}, "application/json")
    assert refused.status_code == 400
    assert "stands for a secret" in refused.json()["error"]


def test_a_pin_is_found_by_the_whole_of_it_and_authorizes(api):
    a_tag("4711", type="KeyCode", description="Guests")
    assert verdict("4711", "KeyCode").status == "Accepted"
    assert api.get("/api/ocpp/id-tags/?id_tag=4711").json()["results"][0]["description"] == "Guests"
    admin = "/admin/transactions/idtag/?q="
    for search, is_found in (("4711", True), ("471", False), ("guest", True)):
        assert (b"Guests" in api.get(admin + search).content) == is_found, search


def test_a_pin_keeps_its_type_because_it_would_be_shown_with_another(api):
    tag = a_tag("4711", type="KeyCode")
    path = f"/api/ocpp/id-tags/{tag.pk}/"
    for body in ({"type": ""}, {"type": "Central", "id_tag": "(hidden)"}):
        refused = api.patch(path, body, "application/json")
        assert refused.status_code == 400
        assert refused.json()["fields"] == {"type": ["A PIN keeps its type; delete it and add the token."]}
    refused = api.post(f"/tags/{tag.pk}/", {"type": "", "status": "Accepted"})
    assert refused.status_code == 400
    assert "A PIN keeps its type" in refused.content.decode()
    assert api.post("/api/ocpp/id-tags/import/", b"id_tag,type\n4711,Central\n", "text/csv").status_code == 200
    form = {"type": "", "status": "Accepted", "description": "Guests"}
    assert api.post(f"/admin/transactions/idtag/{tag.pk}/change/", form).status_code == 302
    tag.refresh_from_db()
    assert (tag.type, tag.description) == ("KeyCode", "Guests")
    assert api.patch(path, {"type": "KeyCode"}, "application/json").json()["id_tag"] == "(hidden)"


# --- the last authorization --------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["ocpp1.6", "ocpp2.0.1"])
def test_a_known_tag_says_when_it_was_last_presented(api, version):
    tag, other = a_tag("ABC"), a_tag("OTHER")
    assert api.get(f"/api/ocpp/id-tags/{tag.pk}/").json()["last_authorized_at"] is None
    charger = a_charger(ocpp_version=version)
    token = {"idTag": "abc"} if version == "ocpp1.6" else {"idToken": {"idToken": "abc", "type": "Central"}}
    tell(charger, "Authorize", **token)
    assert eventually(lambda: api.get(f"/api/ocpp/id-tags/{tag.pk}/").json()["last_authorized_at"])
    other.refresh_from_db()
    assert other.last_authorized_at is None


def test_an_older_authorization_does_not_replace_a_newer_one():
    tag, now = a_tag("ABC"), datetime.now(UTC)
    authorizations.write([Authorization(tag.pk, now), Authorization(tag.pk, now - timedelta(minutes=1))])
    authorizations.write([Authorization(tag.pk, now - timedelta(hours=1))])
    tag.refresh_from_db()
    assert tag.last_authorized_at == now
